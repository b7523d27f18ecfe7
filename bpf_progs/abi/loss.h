// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
#ifndef NETPOLICY_BPF_PROGS_ABI_LOSS_H_
#define NETPOLICY_BPF_PROGS_ABI_LOSS_H_

#include <linux/types.h>

// np_loss[N]: how often something fell back or could not be recorded, per CPU,
// a __u64 each.
//
// Written by: every program. Read by: libpolicy (status, doctor). Numbers are
// for ever.

#define NP_LOSS_SLOW_PATH \
  0 /* packets judged without their socket's cached verdict */
#define NP_LOSS_NO_SOCKET 1 /* packets without a full socket: no owner */
#define NP_LOSS_SOCKET_STORAGE \
  2 /* no storage for the socket (optmem limit, memory) */
#define NP_LOSS_ROWS_FULL \
  3 /* packets charged to NP_OVERFLOW_ROW: not even a UID's row was left */
#define NP_LOSS_DROPS_FULL 4 /* refusals that np_drops had no room for */
#define NP_LOSS_UNPARSABLE \
  5 /* headers not understood: extra packets unknown, counted as 0 */
#define NP_LOSS_TABLES 6  /* an own table could not be read: refused */
#define NP_LOSS_REFUSED 7 /* refusals whose peer np_refused had no room for */
// The next two count packets that looked for a row; those that their socket's
// storage leads to the same row after them are not counted again.
#define NP_LOSS_ROWS_SHARE \
  8 /* charged to the UID's row: the UID has its share of rows */
#define NP_LOSS_ROWS_TAKEN                          \
  9 /* charged to the UID's row: all rows are taken \
     */
#define NP_LOSSES 10

#endif  // NETPOLICY_BPF_PROGS_ABI_LOSS_H_
