/* The peer of the engine bench: libmodsecurity in process, on the same rules and request files.
 *
 * Usage: modsecurity RULES SECONDS REQ...   prints `REQ: X us/req blocked=B`, as the binary `engine` does.
 * Build: cc -O2 modsecurity.c -lmodsecurity -o modsecurity
 */
#include <modsecurity/modsecurity.h>
#include <modsecurity/rules_set.h>
#include <modsecurity/transaction.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEADERS_MAX 64

struct request {
    char *text, *method, *uri, *names[HEADERS_MAX], *values[HEADERS_MAX];
    int headers;
    unsigned char *body;
    size_t body_len;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static char *take_line(char **at) {
    char *line = *at, *end = strchr(line, '\n');
    if (!end) { fprintf(stderr, "request file ends inside its head\n"); exit(2); }
    *end = 0;
    *at = end + 1;
    return line;
}

static void load(const char *path, struct request *r) {
    FILE *f = fopen(path, "rb");
    if (!f) { perror(path); exit(2); }
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    r->text = malloc(n + 1);
    if (!r->text || fread(r->text, 1, n, f) != (size_t)n) { perror(path); exit(2); }
    r->text[n] = 0;
    fclose(f);
    char *at = r->text;
    r->method = take_line(&at);
    r->uri = take_line(&at);
    for (r->headers = 0;; r->headers++) {
        char *line = take_line(&at);
        if (!*line) break;
        char *colon = strstr(line, ": ");
        if (!colon || r->headers == HEADERS_MAX) { fprintf(stderr, "%s: bad header\n", path); exit(2); }
        *colon = 0;
        r->names[r->headers] = line;
        r->values[r->headers] = colon + 2;
    }
    r->body = (unsigned char *)at;
    r->body_len = r->text + n - at;
}

static int blocked(Transaction *t) {
    ModSecurityIntervention i = {.status = 200};
    int hit = msc_intervention(t, &i);
    free(i.url);
    free(i.log);
    return hit;
}

static int inspect(ModSecurity *m, RulesSet *rules, const struct request *r) {
    Transaction *t = msc_new_transaction(m, rules, NULL);
    msc_process_connection(t, "192.0.2.10", 40000, "192.0.2.1", 443);
    msc_process_uri(t, r->uri, r->method, "1.1");
    for (int i = 0; i < r->headers; i++)
        msc_add_request_header(t, (const unsigned char *)r->names[i], (const unsigned char *)r->values[i]);
    msc_process_request_headers(t);
    int hit = blocked(t);
    if (!hit) {
        if (r->body_len) msc_append_request_body(t, r->body, r->body_len);
        msc_process_request_body(t);
        hit = blocked(t);
    }
    msc_transaction_cleanup(t);
    return hit;
}

static void quiet(void *data, const void *message) { (void)data; (void)message; }

int main(int argc, char **argv) {
    if (argc < 4) { fprintf(stderr, "usage: modsecurity RULES SECONDS REQ...\n"); return 2; }
    ModSecurity *m = msc_init();
    msc_set_log_cb(m, quiet);
    RulesSet *rules = msc_create_rules_set();
    const char *error = NULL;
    if (msc_rules_add_file(rules, argv[1], &error) < 0) { fprintf(stderr, "%s: %s\n", argv[1], error); return 2; }
    double seconds = atof(argv[2]);
    for (int a = 3; a < argc; a++) {
        struct request r;
        load(argv[a], &r);
        int hit = inspect(m, rules, &r);
        long n = 0;
        double begin = now();
        do { inspect(m, rules, &r); n++; } while (now() - begin < seconds);
        printf("%s: %.1f us/req blocked=%d\n", argv[a], (now() - begin) * 1e6 / n, hit);
    }
    return 0;
}
