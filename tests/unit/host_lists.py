# SPDX-License-Identifier: Apache-2.0
"""Host lists and what they mean, and those that are refused with their codes: the same at both doors."""

LISTS = {
    "a,b,c": ["a", "b", "c"],
    "c,a,b": ["c", "a", "b"],
    "gpu[01-03]": ["gpu01", "gpu02", "gpu03"],
    "gpu[1-8/2]": ["gpu1", "gpu3", "gpu5", "gpu7"],
    "gpu[3,1-2]": ["gpu3", "gpu1", "gpu2"],
    "gpu[9-11]": ["gpu9", "gpu10", "gpu11"],
    "a[2,1]b[01-02]": ["a2b01", "a2b02", "a1b01", "a1b02"],
    "z1,gpu[2,1],a": ["z1", "gpu2", "gpu1", "a"],
    "fd00::1": ["fd00::1"],
    "[fd00::2],x": ["fd00::2", "x"],
}

REFUSED = {
    "": "HOSTS_EMPTY",
    " , ": "HOSTS_EMPTY",
    "a,,b": "HOSTS_MALFORMED",
    "gpu[1-": "HOSTS_MALFORMED",
    "gpu1-2]": "HOSTS_MALFORMED",
    "gpu[2-1]": "HOSTS_MALFORMED",
    "gpu[1-99999999]": "HOSTS_MALFORMED",
    "a,gpu1,a": "HOST_DUPLICATE",
    "gpu[1-3],gpu2": "HOST_DUPLICATE",
    "-oProxyCommand=x": "HOST_INVALID",
    "a b": "HOST_INVALID",
    "a;b": "HOST_INVALID",
    "a$(b)": "HOST_INVALID",
    "a\nb": "HOST_INVALID",
    "x@-a": "HOST_INVALID",
    "a:port": "HOSTS_MALFORMED",
    "@source:group": "HOSTS_MALFORMED",
}
