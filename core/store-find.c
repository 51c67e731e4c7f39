/* SPDX-License-Identifier: MIT */
/* Finds, or makes, the rows that others refer to: listeners, owners, holders, words. */

#include "core/store-internal.h"

#include <sha2.h>

#define KEY_BYTES ((PW_LISTENER_ID_MAX - 1) / 2)

int pw_store_word(struct pw_store *store, const char *text, int64_t *ret)
{
        struct pw_call call;
        int r;

        if (!text) {
                *ret = 0;
                return 0;
        }
        call = pw_call(store, PW_SQL_WORD_FIND);
        pw_call_text(&call, text);
        r = pw_call_number(&call, ret);
        if (r != 0)
                return PW_MIN(r, 0);
        call = pw_call(store, PW_SQL_WORD_ADD);
        pw_call_text(&call, text);
        return pw_call_insert(&call, ret);
}

static int owner_row(struct pw_store *store, const struct pw_owner *owner, int64_t *ret)
{
        struct pw_call call = pw_call(store, PW_SQL_OWNER_FIND);
        int r;

        pw_call_text(&call, owner->user ? owner->user : "");
        pw_call_text(&call, owner->exe ? owner->exe : "");
        r = pw_call_number(&call, ret);
        if (r != 0)
                return PW_MIN(r, 0);
        call = pw_call(store, PW_SQL_OWNER_ADD);
        pw_call_text(&call, owner->user ? owner->user : "");
        pw_call_text(&call, owner->exe ? owner->exe : "");
        return pw_call_insert(&call, ret);
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int key_of(const struct pw_record *record, uint8_t key[KEY_BYTES])
{
        for (size_t i = 0; i < KEY_BYTES; i++) {
                int high = hex_digit(record->listener_id[2 * i]);
                int low = high < 0 ? -1 : hex_digit(record->listener_id[2 * i + 1]);

                if (low < 0)
                        return -EINVAL; /* nobody has called pw_record_identify() */
                key[i] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

int pw_store_listener_find(struct pw_store *store, const struct pw_record *record,
                           struct pw_listener_row *ret)
{
        uint8_t key[KEY_BYTES];
        struct pw_call call;
        int r = key_of(record, key);

        if (r < 0)
                return r;
        call = pw_call(store, PW_SQL_LISTENER_FIND);
        pw_call_blob(&call, key, sizeof key);
        r = pw_call_row(&call);
        if (r > 0)
                *ret = (struct pw_listener_row){pw_call_column(&call, 0), pw_call_column(&call, 1)};
        pw_call_done(&call);
        return r;
}

int pw_store_listener_make(struct pw_store *store, const struct pw_record *record,
                           struct pw_listener_row *ret)
{
        uint8_t key[KEY_BYTES];
        struct pw_listener_row listener;
        struct pw_call call;
        int r = pw_store_listener_find(store, record, ret);

        if (r != 0)
                return PW_MIN(r, 0);
        r = owner_row(store, record->owner, &listener.owner);
        if (r < 0)
                return r;
        key_of(record, key);
        call = pw_call(store, PW_SQL_LISTENER_ADD);
        pw_call_blob(&call, key, sizeof key);
        pw_call_int(&call, listener.owner);
        pw_call_text(&call, record->netns);
        pw_call_int(&call, record->protocol);
        pw_call_int(&call, record->port);
        pw_call_text(&call, record->address_text);
        pw_call_text(&call, record->device);
        pw_call_int(&call, record->ephemeral);
        pw_call_int(&call, record->owner->traits);
        r = pw_call_insert(&call, &listener.id);
        if (r == 0)
                *ret = listener;
        return r;
}

/* Finds a holder's row in one step; equal hashes are told apart by the texts themselves. SHA-256,
 * so that nobody can choose command lines that all share one. */
static int64_t holder_hash(const struct pw_owner *owner)
{
        const char *const texts[] = {owner->comm, owner->cmdline, owner->unit, owner->user_unit,
                                     owner->container};
        uint8_t digest[SHA256_DIGEST_LENGTH];
        int64_t hash;
        SHA2_CTX context;

        SHA256Init(&context);
        SHA256Update(&context, (const uint8_t *)&owner->uid, sizeof owner->uid);
        for (size_t i = 0; i < PW_ELEMENTS(texts); i++) {
                const char *text = texts[i] ? texts[i] : "";

                SHA256Update(&context, (const uint8_t *)text, strlen(text) + 1);
        }
        SHA256Final(digest, &context);
        memcpy(&hash, digest, sizeof hash);
        return hash;
}

static void call_holder(struct pw_call *call, const struct pw_owner *owner)
{
        pw_call_int(call, holder_hash(owner));
        pw_call_int(call, owner->uid);
        pw_call_int(call, owner->unknown);
        pw_call_text(call, owner->comm);
        pw_call_text(call, owner->cmdline);
        pw_call_text(call, owner->unit);
        pw_call_text(call, owner->user_unit);
        pw_call_text(call, owner->container);
}

int pw_store_holder(struct pw_store *store, const struct pw_owner *owner, int64_t *ret)
{
        struct pw_call call = pw_call(store, PW_SQL_HOLDER_FIND);
        int r;

        call_holder(&call, owner);
        r = pw_call_number(&call, ret);
        if (r != 0)
                return PW_MIN(r, 0);
        call = pw_call(store, PW_SQL_HOLDER_ADD);
        call_holder(&call, owner);
        return pw_call_insert(&call, ret);
}
