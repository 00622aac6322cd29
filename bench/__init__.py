# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: ours, the peers and the bare client side by side in one run. Ratios count, times don't."""
