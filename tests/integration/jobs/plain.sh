#!/bin/sh
echo ran in $(pwd)
