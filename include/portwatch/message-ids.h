/* SPDX-License-Identifier: MIT */
#pragma once

/* MESSAGE_ID of every kind of journal entry: an interface. An id never changes its meaning and is
 * never used again; the catalog (systemd/portwatch.catalog) explains each. A test holds the two
 * lists together.
 *
 * X(NAME, ID, what it says) */
#define PW_MESSAGE_IDS(X)                                                                          \
        X(ALERT_UNEXPECTED, "ac569087109944ca883b863d27773927",                                    \
          "A port is open that no rule expects")                                                   \
        X(ALERT_DENIED, "96a827d6d26f49c495245dd33390f3f2", "A port is open that a rule denies")   \
        X(ALERT_SUSPICIOUS, "a8b2c4b970514e0e936d581974c6fd43",                                    \
          "A port is held by an executable that should not be there")                              \
        X(ALERT_SCOPE_WIDENED, "df68fb3a26be438a99b1fd342823b01a",                                 \
          "A known listener reaches further than before")                                          \
        X(ALERT_SECOND_OWNER, "cd66a849bba448c2992ed867ee5c4371",                                  \
          "A second owner opened a port that another holds")                                       \
        X(ALERT_REQUIRED_MISSING, "b6a781c62a7b4109abd7c356d8e7018c",                              \
          "A required port is not open")                                                           \
        X(ALERT_NO_OWNER, "8fdc70f19ac54448841175bd0bf1eaab",                                      \
          "A port is open and its owner is not known")                                             \
        X(ALERT_RESOLVED, "3babf794982447ac98de615d214b1822", "An alert is over")                  \
        X(ALERTS_SUPPRESSED, "26484620d7fa4f4cbc06694ec10e6f7e",                                   \
          "More alerts of one owner, summed up")                                                   \
        X(BASELINE_WRITTEN, "f56bd7bff9684a5c9d4440592911fb79",                                    \
          "What was open at the first start was written down as expected")                         \
        X(RULES_LOADED, "5101272bd87e4d85a47dbc7665645de9", "The rules were read again")           \
        X(RULES_REFUSED, "ae495e5767264a80988b564af611a880",                                       \
          "A rule could not be read; no change to the rules takes effect")                         \
        X(SETTINGS_REFUSED, "bcfba1d32b6845c8bf7c953228878c94", "A setting could not be read")     \
        X(STORE_FAILED, "8a347a99deee498e84e767dedfadeced", "The history cannot be written")       \
        X(STORE_RECOVERED, "49c3a9ee4c3846299b216b59619cef97", "The history can be written again") \
        X(STORE_REPLACED, "f7424d51086d41cca4322232fc8224c5",                                      \
          "The history was not usable and was moved aside")                                        \
        X(BLIND_SPOT_BEGUN, "e3fef862c2ba4f7eaf14c94e42dbcb61", "Something cannot be seen")        \
        X(BLIND_SPOT_ENDED, "dfb9e6b441304e21b6d8e59ffeb013b8", "Something can be seen again")     \
        X(STARTED, "bc72ec300ccc4bb5a4b82a8161e8794a", "The daemon watches")                       \
        X(STOPPED, "e7d85e77938c476daa8179f3c1be8c4f", "The daemon stopped watching")

#define PW_MESSAGE_ENUM(name, id, text) PW_MESSAGE_##name,
enum pw_message { PW_MESSAGE_IDS(PW_MESSAGE_ENUM) PW_MESSAGE_COUNT };
#undef PW_MESSAGE_ENUM

/* 32 lower-case hex digits. */
const char *pw_message_id(enum pw_message message);
