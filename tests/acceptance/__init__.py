# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""A package, so that the system its tests share ends with them: `scope="package"`."""
