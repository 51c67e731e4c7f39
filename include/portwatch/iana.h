/* SPDX-License-Identifier: MIT */
#pragma once

/* Names of services by (protocol, port), as assigned by IANA. TCP and UDP are looked up apart. A
 * name is a label, never a verdict. The table is compiled in (share/iana/services.tsv). */

#include <portwatch/endpoint.h>

/* The assigned name (static storage), or NULL where none is. UDP-Lite shares UDP's ports. */
const char *pw_iana_service(uint8_t protocol, uint16_t port);

/* The ports of a service name or alias, for what people type (`http`, `https`, `domain`). Fills up
 * to `max` of the ports that carry the name on the protocol, ascending, and returns how many there
 * are, 0 where the name is not assigned. */
size_t pw_iana_ports(uint8_t protocol, const char *name, uint16_t *ret_ports, size_t max);

/* How many rows the table has, and the date on which its sources were read ("2026-11-26"). */
size_t pw_iana_rows(void);
const char *pw_iana_date(void);

/* Names that the administrator added to a services(5) file for ports that the table does not know;
 * they come second to IANA's. */
struct pw_services;
/* Reads `services` in `etc_fd`. Lines that cannot be read are skipped. 0 or -errno. */
int pw_services_load(int etc_fd, struct pw_services **ret);
void pw_services_free(struct pw_services *services);
PW_DEFINE_CLEANUP(struct pw_services *, pw_services_free)
/* IANA's name, else the local one, else NULL. `services` may be NULL. */
const char *pw_services_name(const struct pw_services *services, uint8_t protocol, uint16_t port);
/* As pw_iana_ports(), local names included. */
size_t pw_services_ports(const struct pw_services *services, uint8_t protocol, const char *name,
                         uint16_t *ret_ports, size_t max);
