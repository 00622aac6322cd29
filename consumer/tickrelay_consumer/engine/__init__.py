# SPDX-FileCopyrightText: 2026 The Tickrelay engineers
# SPDX-License-Identifier: Apache-2.0
"""
The hot loop, a thread a concern, batches between them.

    fetcher (one a queue)  receive -> decode -> claim -+-> dispatcher -> runners -+
    keeper                 renew, reap, what is due ---+                          +-> settler: settle -> acknowledge
    watchdog               ends what hangs; asks neither broker nor ledger
    deaf watch             asks by a fresh connection whether a fetcher that hears nothing should hear something

Nothing is acknowledged before every handler's claim of it is settled or parked.
"""
