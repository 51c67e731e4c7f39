/* SPDX-License-Identifier: MIT */
/* JSON: one object, its lists written row by row, so that memory does not grow with them. json-c
 * makes and escapes each value; only the brackets around them are written here. */

#include "ctl/view.h"

#include <portwatch/text.h>

#include <json-c/json.h>

struct json_view {
        struct pw_view view;
        FILE *out;
        struct pw_column_context context;
        bool pretty;
        bool began; /* the opening bracket is written */
        bool rows;  /* the list has a row */
};

struct json_object *pw_time_json(uint64_t usec)
{
        char text[PW_RFC3339_MAX];

        return usec ? json_object_new_string(pw_format_rfc3339(text, sizeof text, usec)) : NULL;
}

static struct json_object *names_json(const char *text)
{
        struct json_object *array = json_object_new_array();

        while (array && *text) {
                size_t length = strcspn(text, ",");

                json_object_array_add(array, json_object_new_string_len(text, (int)length));
                text += length + (text[length] == ',');
        }
        return array;
}

static struct json_object *pids_json(const struct pw_owner *owner)
{
        struct json_object *array = json_object_new_array();

        for (unsigned i = 0; array && i < owner->n_pids; i++)
                json_object_array_add(array, json_object_new_int(owner->pids[i]));
        return array;
}

static struct json_object *value_json(const struct pw_value *value, const struct pw_record *record)
{
        switch (value->kind) {
        case PW_VALUE_NONE:
                break;
        case PW_VALUE_TEXT:
                return json_object_new_string(value->text);
        case PW_VALUE_NUMBER:
        case PW_VALUE_SPAN:
                return json_object_new_uint64(value->number);
        case PW_VALUE_BOOL:
                return json_object_new_boolean(value->number != 0);
        case PW_VALUE_TIME:
                return pw_time_json(value->number);
        case PW_VALUE_NAMES:
                return names_json(value->text);
        case PW_VALUE_PIDS:
                return pids_json(record->owner);
        }
        return NULL;
}

struct json_object *pw_record_json(const struct pw_record *record,
                                   const struct pw_column_context *context)
{
        struct json_object *object = json_object_new_object();
        struct pw_value value;

        for (size_t i = 0; object && i < pw_columns_count; i++) {
                struct json_object *field;

                if (!pw_columns[i].json)
                        continue;
                pw_column_value(&pw_columns[i], record, context, &value);
                field = value_json(&value, record);
                if ((!field && value.kind != PW_VALUE_NONE) ||
                    json_object_object_add_ex(object, pw_columns[i].name, field,
                                              JSON_C_OBJECT_ADD_KEY_IS_NEW |
                                                  JSON_C_OBJECT_ADD_CONSTANT_KEY) < 0) {
                        json_object_put(field);
                        json_object_put(object);
                        return NULL;
                }
        }
        return object;
}

#define SHORT (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define PRETTY (JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE)

/* Text of several lines, indented as far as its place: no value holds a raw newline. */
static void write_indented(FILE *out, const char *text, int indent)
{
        while (true) {
                size_t length = strcspn(text, "\n");

                fwrite(text, 1, length, out);
                text += length;
                if (*text == '\0')
                        return;
                fprintf(out, "\n%*s", indent, "");
                text++;
        }
}

static int write_value(struct json_view *json, struct json_object *value, int indent)
{
        const char *text = json_object_to_json_string_ext(value, json->pretty ? PRETTY : SHORT);

        if (text)
                write_indented(json->out, text, indent);
        json_object_put(value);
        return text ? 0 : -ENOMEM;
}

struct json_object *pw_json_new(void)
{
        struct json_object *object = json_object_new_object();

        if (object)
                json_object_object_add(object, "schema_version", json_object_new_int(1));
        return object;
}

void pw_json_release(struct json_object *object)
{
        json_object_put(object);
}

void pw_json_print(FILE *out, struct json_object *object, bool pretty)
{
        fputs(json_object_to_json_string_ext(object, pretty ? PRETTY : SHORT), out);
        fputc('\n', out);
        json_object_put(object);
}

static void write_key(struct json_view *json, const char *key)
{
        if (!json->began)
                fputs(json->pretty ? "{\n  \"schema_version\": 1" : "{\"schema_version\":1",
                      json->out);
        json->began = true;
        fprintf(json->out, json->pretty ? ",\n  \"%s\": " : ",\"%s\":", key);
}

static int json_begin(struct pw_view *view, const char *key)
{
        struct json_view *json = (struct json_view *)view;

        write_key(json, key);
        fputc('[', json->out);
        json->rows = false;
        return 0;
}

static int json_row(struct pw_view *view, struct pw_record *record)
{
        struct json_view *json = (struct json_view *)view;
        struct json_object *object = pw_record_json(record, &json->context);

        if (!object)
                return -ENOMEM;
        if (json->rows)
                fputc(',', json->out);
        if (json->pretty)
                fputs("\n    ", json->out);
        json->rows = true;
        return write_value(json, object, 4);
}

static int json_end(struct pw_view *view)
{
        struct json_view *json = (struct json_view *)view;

        fputs(json->pretty && json->rows ? "\n  ]" : "]", json->out);
        return 0;
}

static int json_field(struct pw_view *view, const char *key, struct json_object *value)
{
        struct json_view *json = (struct json_view *)view;

        write_key(json, key);
        return write_value(json, value, 2);
}

static int json_footer(struct pw_view *view, _unused_ const char *text)
{
        struct json_view *json = (struct json_view *)view;

        fputs(json->pretty ? "\n}\n" : "}\n", json->out);
        return 0;
}

static void json_free(struct pw_view *view)
{
        free(view);
}

int pw_view_json_new(const struct pw_view_options *options, struct pw_view **ret)
{
        struct json_view *json = malloc(sizeof *json);

        if (!json)
                return -ENOMEM;
        *json = (struct json_view){
            .view = {json_begin, json_row, json_end, json_field, json_footer, json_free},
            .out = options->out,
            .context = options->context,
            .pretty = options->pretty,
        };
        *ret = &json->view;
        return 0;
}
