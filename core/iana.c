/* SPDX-License-Identifier: MIT */
/* Names of services. Two tables with one shape: rows sorted by port, of which the first with a port
 * carries its name and the others its aliases. IANA's is compiled in (iana-table.inc, made by
 * share/iana/table.awk: offsets into one pool, no pointers, so it costs no writable memory); the
 * administrator's is read from a services(5) file. Ports are found by binary search. A search by
 * name goes over a table once and notes the ports in a set of bits, which also sorts them and drops
 * those that both tables have. */

#include <portwatch/iana.h>
#include <portwatch/text.h>

#include <strings.h>

struct iana_row {
        uint32_t name; /* offset in iana_pool */
        uint16_t port;
};

#include "iana-table.inc"

#define SERVICES_BYTES_MAX ((size_t)4 << 20)
#define SERVICE_NAME_MAX 64

/* UDP-Lite shares UDP's ports (RFC 3828, 6). */
static uint8_t port_space(uint8_t protocol)
{
        return protocol == PW_UDPLITE ? PW_UDP : protocol;
}

/* ---- sets of ports ---- */

struct port_set {
        uint64_t words[65536 / 64];
};

static void port_set_add(struct port_set *set, uint16_t port)
{
        set->words[port / 64] |= UINT64_C(1) << port % 64;
}

/* Lists up to `max` of the ports, ascending, and returns how many there are. */
static size_t port_set_list(const struct port_set *set, uint16_t *ret_ports, size_t max)
{
        size_t n = 0;

        for (size_t i = 0; i < PW_ELEMENTS(set->words); i++)
                for (uint64_t word = set->words[i]; word; word &= word - 1, n++)
                        if (n < max)
                                ret_ports[n] = (uint16_t)(i * 64 + (size_t)__builtin_ctzll(word));
        return n;
}

/* ---- IANA's names ---- */

static const struct iana_row *iana_rows(uint8_t protocol, size_t *ret_n)
{
        switch (port_space(protocol)) {
        case PW_TCP:
                *ret_n = PW_ELEMENTS(iana_tcp);
                return iana_tcp;
        case PW_UDP:
                *ret_n = PW_ELEMENTS(iana_udp);
                return iana_udp;
        default:
                *ret_n = 0;
                return NULL;
        }
}

const char *pw_iana_service(uint8_t protocol, uint16_t port)
{
        size_t low = 0, high, n;
        const struct iana_row *rows = iana_rows(protocol, &n);

        for (high = n; low < high;) {
                size_t middle = low + (high - low) / 2;

                if (rows[middle].port < port)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low < n && rows[low].port == port ? iana_pool + rows[low].name : NULL;
}

/* The place of a name in the pool, where each is once; -1 where it is not. */
static ssize_t pool_find(const char *name)
{
        const char *end = iana_pool + sizeof iana_pool - 1;

        for (const char *p = iana_pool; p < end; p += strlen(p) + 1)
                if (strcasecmp(p, name) == 0)
                        return p - iana_pool;
        return -1;
}

static void add_iana_ports(struct port_set *set, uint8_t protocol, const char *name)
{
        size_t n;
        const struct iana_row *rows = iana_rows(protocol, &n);
        ssize_t place = pool_find(name);

        for (size_t i = 0; place >= 0 && i < n; i++)
                if (rows[i].name == (size_t)place)
                        port_set_add(set, rows[i].port);
}

size_t pw_iana_ports(uint8_t protocol, const char *name, uint16_t *ret_ports, size_t max)
{
        return pw_services_ports(NULL, protocol, name, ret_ports, max);
}

size_t pw_iana_rows(void)
{
        return PW_ELEMENTS(iana_tcp) + PW_ELEMENTS(iana_udp);
}

const char *pw_iana_date(void)
{
        return iana_date;
}

/* ---- the administrator's names ---- */

struct local_row {
        const char *name; /* in the text of the file */
        uint32_t order;   /* in the file */
        uint16_t port;
        uint8_t protocol;
};

struct pw_services {
        char *text; /* of the file, cut into words */
        struct local_row *rows;
        size_t n, capacity;
};

void pw_services_free(struct pw_services *services)
{
        if (!services)
                return;
        free(services->text);
        free(services->rows);
        free(services);
}

static bool is_service_name(const char *name)
{
        return strlen(name) <= SERVICE_NAME_MAX && pw_text_is_clean(name);
}

/* `80/tcp`. Cuts the word at the slash. */
static int parse_port(char *word, struct local_row *row)
{
        char *slash = strchr(word, '/');
        uint64_t port;
        int r;

        if (!slash)
                return -EINVAL;
        *slash = '\0';
        r = pw_parse_number(word, 1, UINT16_MAX, &port);
        if (r < 0)
                return r;
        row->port = (uint16_t)port;
        return pw_protocol_from_name(slash + 1, &row->protocol);
}

/* `name port/protocol [alias …] [# comment]`. What cannot be read is skipped; 0 or -ENOMEM. */
static int add_line(struct pw_services *services, char *line)
{
        static const char blank[] = " \t\r";
        char *state = NULL, *name, *port;
        struct local_row row = {0};

        line[strcspn(line, "#")] = '\0';
        name = strtok_r(line, blank, &state);
        port = strtok_r(NULL, blank, &state);
        if (!name || !port || parse_port(port, &row) < 0)
                return 0;
        for (; name; name = strtok_r(NULL, blank, &state)) {
                if (!is_service_name(name))
                        continue;
                if (pw_array_reserve(&services->rows, &services->capacity, services->n + 1,
                                     sizeof row) < 0)
                        return -ENOMEM;
                row.name = name;
                row.order = (uint32_t)services->n;
                services->rows[services->n++] = row;
        }
        return 0;
}

/* By protocol and port; the order of the file says which name is the first. */
static int compare_rows(const void *a, const void *b)
{
        const struct local_row *x = a, *y = b;

        if (x->protocol != y->protocol)
                return x->protocol < y->protocol ? -1 : 1;
        if (x->port != y->port)
                return x->port < y->port ? -1 : 1;
        return (x->order > y->order) - (x->order < y->order);
}

static int read_text(int etc_fd, char **ret)
{
        _cleanup_(pw_freep) char *text = malloc(SERVICES_BYTES_MAX);
        char *fitted;
        ssize_t length;

        if (!text)
                return -ENOMEM;
        length = pw_read_file(etc_fd, "services", text, SERVICES_BYTES_MAX);
        if (length < 0)
                return (int)length;
        /* A NUL would hide what is behind it from the string functions. */
        for (ssize_t i = 0; i < length; i++)
                if (text[i] == '\0')
                        text[i] = '\n';
        fitted = realloc(text, (size_t)length + 1);
        if (fitted)
                text = fitted;
        *ret = PW_TAKE_PTR(text);
        return 0;
}

int pw_services_load(int etc_fd, struct pw_services **ret)
{
        _cleanup_(pw_services_freep) struct pw_services *services = calloc(1, sizeof *services);
        char *state = NULL;
        int r;

        if (!services)
                return -ENOMEM;
        r = read_text(etc_fd, &services->text);
        if (r < 0)
                return r;
        for (char *line = strtok_r(services->text, "\n", &state); line;
             line = strtok_r(NULL, "\n", &state)) {
                r = add_line(services, line);
                if (r < 0)
                        return r;
        }
        if (services->n > 1)
                qsort(services->rows, services->n, sizeof *services->rows, compare_rows);
        *ret = PW_TAKE_PTR(services);
        return 0;
}

const char *pw_services_name(const struct pw_services *services, uint8_t protocol, uint16_t port)
{
        const char *name = pw_iana_service(protocol, port);
        struct local_row wanted = {.protocol = port_space(protocol), .port = port};
        size_t low = 0, high;

        if (name || !services)
                return name;
        for (high = services->n; low < high;) {
                size_t middle = low + (high - low) / 2;

                if (compare_rows(&services->rows[middle], &wanted) < 0)
                        low = middle + 1;
                else
                        high = middle;
        }
        if (low == services->n || services->rows[low].protocol != wanted.protocol ||
            services->rows[low].port != port)
                return NULL;
        return services->rows[low].name;
}

size_t pw_services_ports(const struct pw_services *services, uint8_t protocol, const char *name,
                         uint16_t *ret_ports, size_t max)
{
        struct port_set set = {0};

        add_iana_ports(&set, protocol, name);
        for (size_t i = 0; services && i < services->n; i++)
                if (services->rows[i].protocol == port_space(protocol) &&
                    strcasecmp(services->rows[i].name, name) == 0)
                        port_set_add(&set, services->rows[i].port);
        return port_set_list(&set, ret_ports, max);
}
