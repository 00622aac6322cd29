# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""Change data capture: database changes as messages. Only its place in the house so far; no source is built yet."""
