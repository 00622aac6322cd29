# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Real servers for the tests, started on free ports of the loopback interface and ended by pid. No docker."""
