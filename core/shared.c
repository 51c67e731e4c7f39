/* SPDX-License-Identifier: MIT */
/* Shared strings: one copy of each text, counted. Tens of thousands of records name the same
 * namespace and the same rule.
 *
 * Invariant: the pool (a tree by text) holds exactly the strings with references. It is the one
 * global of the program, and for one thread only. */

#include <portwatch/text.h>

#include <search.h>

struct shared {
        unsigned references;
        char text[];
};

static void *pool;

static int compare_texts(const void *a, const void *b)
{
        return strcmp(a, b);
}

static struct shared *shared_of(const char *text)
{
        return (struct shared *)(void *)((char *)(uintptr_t)text - offsetof(struct shared, text));
}

static const char *get(const char *text)
{
        const char **found = tfind(text, &pool, compare_texts);
        struct shared *shared;

        if (found) {
                shared_of(*found)->references++;
                return *found;
        }
        shared = malloc(sizeof *shared + strlen(text) + 1);
        if (!shared)
                return NULL;
        shared->references = 1;
        strcpy(shared->text, text);
        if (!tsearch(shared->text, &pool, compare_texts)) {
                free(shared);
                return NULL;
        }
        return shared->text;
}

int pw_shared_set(const char **field, const char *text)
{
        const char *shared = NULL;

        if (text) {
                shared = get(text);
                if (!shared)
                        return -ENOMEM;
        }
        pw_shared_unset(field);
        *field = shared;
        return 0;
}

void pw_shared_unset(const char **field)
{
        if (*field && --shared_of(*field)->references == 0) {
                tdelete(*field, &pool, compare_texts);
                free(shared_of(*field));
        }
        *field = NULL;
}

int pw_text_set(char **field, const char *text)
{
        char *copy = NULL;

        if (text) {
                copy = strdup(text);
                if (!copy)
                        return -ENOMEM;
        }
        free(*field);
        *field = copy;
        return 0;
}
