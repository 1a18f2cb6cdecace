# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a Kubernetes cluster and its kubelets: pods are real processes on hosts of a lab."""
