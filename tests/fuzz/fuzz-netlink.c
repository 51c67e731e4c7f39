/* SPDX-License-Identifier: MIT */
/* Recordings and single replies from anywhere. The corpus are recordings; every input is also read
 * as one reply's payload. What is accepted must be consistent. */

#include "daemon/sockdiag-parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_row(const struct pw_socket *row)
{
        if (row->endpoint.port == 0 || pw_sockdiag_states(row->endpoint.protocol) == 0)
                abort();
}

static void replay(const uint8_t *data, size_t size)
{
        struct pw_snapshot snapshot = {0}, copy = {0};
        uint64_t offset = 0;
        int r = pw_sockdiag_replay_bytes(data, size, &snapshot, &offset);

        if (r == -EBADMSG && (offset > size || snapshot.n_sockets > 0 || snapshot.n_parts > 0))
                abort();
        if (r >= 0 && snapshot.n_parts == 0 && snapshot.n_sockets > 0)
                abort();
        for (size_t i = 0; i < snapshot.n_sockets; i++)
                check_row(&snapshot.sockets[i]);
        if (pw_snapshot_copy(&copy, &snapshot) == 0 && !pw_snapshot_equal(&copy, &snapshot))
                abort();
        pw_snapshot_sort(&snapshot);
        if (snapshot.n_sockets > copy.n_sockets)
                abort();
        pw_snapshot_done(&snapshot);
        pw_snapshot_done(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct pw_socket row;

        replay(data, size);
        if (size > 0 && pw_sockdiag_parse(data + 1, size - 1, data[0], 0, &row) == 0)
                check_row(&row);
        return 0;
}
