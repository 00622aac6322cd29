# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
Where handlers run: a module a kind, all behind `base.Runner`.

    engine -> gathering (batch handlers) -+-> threads        external, in threads of the consumer
                                          +-> transactions   transaction, in one thread that owns the connection
                                          +-> processes      external, in children that can be killed
                                          +-> asyncio        external, in one event loop
"""
