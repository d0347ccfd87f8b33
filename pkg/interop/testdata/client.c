// The C library's client program: ADDRESS SCENARIO ROOT. See clients_test.go.
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

#define PATIENCE 90
#define MAX_BUFFER 0xfffff
#define LEN 512

static const char *address, *root;

static void fail(const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vfprintf(stdout, fmt, args);
  va_end(args);
  printf("\n");
  exit(1);
}

#define CHECK(what, got, want)                                                                       \
  do {                                                                                               \
    long long g_ = (got), w_ = (want);                                                               \
    if (g_ != w_) fail("line %d: %s = %lld (%s), want %lld", __LINE__, what, g_, zerror((int)g_), w_); \
  } while (0)

#define CHECK_STR(what, got, want)                                                       \
  do {                                                                                   \
    if (strcmp(got, want) != 0) fail("line %d: %s = %s, want %s", __LINE__, what, got, want); \
  } while (0)

// at returns ROOT/name in one of some buffers that it uses in turn.
static const char *at(const char *name) {
  static char bufs[8][LEN];
  static int next;
  char *b = bufs[next++ % 8];
  snprintf(b, LEN, "%s/%s", root, name);
  return b;
}

// Events, in the order in which the library tells them.
struct event {
  int type;
  char path[LEN];
};
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct event events[64];
static int n_events, taken, connected;  // connected counts the times that a session was attached

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *ctx) {
  pthread_mutex_lock(&mu);
  if (type != ZOO_SESSION_EVENT) {
    struct event *e = &events[n_events++ % 64];
    e->type = type;
    snprintf(e->path, LEN, "%s", path);
  } else if (state == ZOO_CONNECTED_STATE) {
    connected++;
  }
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mu);
}

static struct timespec deadline(void) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += PATIENCE;
  return until;
}

static void await_connected(int times) {
  struct timespec until = deadline();
  pthread_mutex_lock(&mu);
  while (connected < times)
    if (pthread_cond_timedwait(&changed, &mu, &until) != 0) fail("not connected");
  pthread_mutex_unlock(&mu);
}

static void fired(const char *step, int type, const char *path) {
  struct timespec until = deadline();
  pthread_mutex_lock(&mu);
  while (taken == n_events)
    if (pthread_cond_timedwait(&changed, &mu, &until) != 0) fail("%s: no event", step);
  struct event e = events[taken++ % 64];
  pthread_mutex_unlock(&mu);
  CHECK(step, e.type, type);
  CHECK_STR(step, e.path, path);
}

static zhandle_t *open_session(int timeout_ms) {
  pthread_mutex_lock(&mu);
  int before = connected;
  pthread_mutex_unlock(&mu);
  zhandle_t *zh = zookeeper_init(address, on_event, timeout_ms, NULL, NULL, 0);
  if (!zh) fail("zookeeper_init");
  await_connected(before + 1);
  return zh;
}

static int create(zhandle_t *zh, const char *path, const char *data, int mode, char *name) {
  return zoo_create(zh, path, data, strlen(data), &ZOO_OPEN_ACL_UNSAFE, mode, name, name ? LEN : 0);
}

static void get(zhandle_t *zh, const char *path, const char *want, struct Stat *st) {
  char buf[LEN];
  int len = LEN - 1;
  CHECK(path, zoo_get(zh, path, 0, buf, &len, st), ZOK);
  buf[len < 0 ? 0 : len] = 0;
  CHECK_STR(path, buf, want);
}

static void modes(void) {
  const struct {
    const char *name, *want;
    int mode;
  } nodes[] = {
      {"p", "p", ZOO_PERSISTENT},
      {"e", "e", ZOO_EPHEMERAL},
      {"ps-", "ps-0000000002", ZOO_PERSISTENT_SEQUENTIAL},
      {"es-", "es-0000000003", ZOO_EPHEMERAL_SEQUENTIAL},
      {"p2", "p2", ZOO_PERSISTENT},
      {"e2", "e2", ZOO_EPHEMERAL},
      {"ps2-", "ps2-0000000006", ZOO_PERSISTENT_SEQUENTIAL},
      {"es2-", "es2-0000000007", ZOO_EPHEMERAL_SEQUENTIAL},
  };
  zhandle_t *zh = open_session(10000);
  for (int i = 0; i < 8; i++) {
    char name[LEN];
    struct Stat st, made;
    int64_t owner = nodes[i].mode == ZOO_EPHEMERAL || nodes[i].mode == ZOO_EPHEMERAL_SEQUENTIAL ? zoo_client_id(zh)->client_id : 0;
    const char *path = at(nodes[i].name);
    if (i < 4) {
      CHECK("create", create(zh, path, nodes[i].name, nodes[i].mode, name), ZOK);
    } else {
      CHECK("create2", zoo_create2(zh, path, nodes[i].name, strlen(nodes[i].name), &ZOO_OPEN_ACL_UNSAFE, nodes[i].mode, name, LEN, &made), ZOK);
      CHECK("owner in the reply of create2", made.ephemeralOwner, owner);
    }
    CHECK_STR("name", name, at(nodes[i].want));
    get(zh, name, nodes[i].name, &st);
    CHECK("owner", st.ephemeralOwner, owner);
    if (i >= 4) CHECK("czxid in the reply of create2", made.czxid, st.czxid);
  }
  CHECK("create again", create(zh, at("p"), "", 0, NULL), ZNODEEXISTS);
  CHECK("create without parent", create(zh, at("none/x"), "", 0, NULL), ZNONODE);
  CHECK("create below an ephemeral", create(zh, at("e/x"), "", 0, NULL), ZNOCHILDRENFOREPHEMERALS);
  CHECK("set another version", zoo_set(zh, at("p"), "", 0, 7), ZBADVERSION);
  CHECK("delete another version", zoo_delete(zh, at("p"), 7), ZBADVERSION);
  CHECK("delete a parent", zoo_delete(zh, root, -1), ZNOTEMPTY);
  CHECK("delete nothing", zoo_delete(zh, at("none"), -1), ZNONODE);
  zookeeper_close(zh);
}

static void sequence(void) {
  zhandle_t *zh = open_session(10000);
  for (int i = 0; i < 4; i++) {
    char name[LEN], want[32];
    CHECK("create", create(zh, at("n-"), "", ZOO_PERSISTENT_SEQUENTIAL, name), ZOK);
    snprintf(want, sizeof want, "n-%010d", i);
    CHECK_STR("name", name, at(want));
    CHECK("delete", zoo_delete(zh, name, -1), ZOK);
  }
  zookeeper_close(zh);
}

static void check_stat(const char *what, const struct Stat *got, struct Stat want) {
  CHECK(what, got->czxid, want.czxid);
  CHECK(what, got->mzxid, want.mzxid);
  CHECK(what, got->pzxid, want.pzxid);
  CHECK(what, got->ctime, want.ctime);
  CHECK(what, got->version, want.version);
  CHECK(what, got->cversion, want.cversion);
  CHECK(what, got->aversion, want.aversion);
  CHECK(what, got->ephemeralOwner, want.ephemeralOwner);
  CHECK(what, got->dataLength, want.dataLength);
  CHECK(what, got->numChildren, want.numChildren);
}

static void stat_fields(void) {
  zhandle_t *zh = open_session(10000);
  struct Stat first, second, third, st;
  CHECK("create", create(zh, at("n"), "one", 0, NULL), ZOK);
  CHECK("exists", zoo_exists(zh, at("n"), 0, &first), ZOK);
  CHECK("set", zoo_set2(zh, at("n"), "three", 5, 0, &second), ZOK);
  CHECK("create", create(zh, at("n/c"), "", 0, NULL), ZOK);
  CHECK("exists", zoo_exists(zh, at("n/c"), 0, &st), ZOK);
  CHECK("child czxid", st.czxid, first.czxid + 2);
  CHECK("set_acl", zoo_set_acl(zh, at("n"), 0, &ZOO_OPEN_ACL_UNSAFE), ZOK);
  CHECK("exists", zoo_exists(zh, at("n"), 0, &third), ZOK);
  CHECK("exists", zoo_exists(zh, root, 0, &st), ZOK);
  int64_t z = first.czxid, t = first.ctime;
  check_stat("new node", &first, (struct Stat){.czxid = z, .mzxid = z, .pzxid = z, .ctime = t, .dataLength = 3});
  CHECK("mtime", first.mtime, t);
  check_stat("after set", &second, (struct Stat){.czxid = z, .mzxid = z + 1, .pzxid = z, .ctime = t, .version = 1, .dataLength = 5});
  check_stat("after child and setACL", &third,
             (struct Stat){.czxid = z, .mzxid = z + 1, .pzxid = z + 2, .ctime = t, .version = 1, .cversion = 1, .aversion = 1,
                           .dataLength = 5, .numChildren = 1});
  CHECK("mtime", third.mtime, second.mtime);
  CHECK("parent pzxid", st.pzxid, z);
  CHECK("parent numChildren", st.numChildren, 1);
  zookeeper_close(zh);
}

static void watches(void) {
  zhandle_t *zh = open_session(10000);
  const char *w = strdup(at("w")), *late = strdup(at("late")), *c = strdup(at("w/c"));
  char buf[LEN];
  int len = LEN;
  struct Stat st;
  struct String_vector names;
  CHECK("create", create(zh, w, "", 0, NULL), ZOK);
  CHECK("get", zoo_wget(zh, w, on_event, NULL, buf, &len, &st), ZOK);
  CHECK("set", zoo_set(zh, w, "1", 1, -1), ZOK);
  fired("data watch", ZOO_CHANGED_EVENT, w);
  CHECK("set", zoo_set(zh, w, "2", 1, -1), ZOK);  // the watch is gone: the next event is another one
  CHECK("exists", zoo_wexists(zh, late, on_event, NULL, &st), ZNONODE);
  CHECK("create", create(zh, late, "", 0, NULL), ZOK);
  fired("exists watch on nothing", ZOO_CREATED_EVENT, late);
  CHECK("exists", zoo_wexists(zh, late, on_event, NULL, &st), ZOK);
  CHECK("set", zoo_set(zh, late, "", 0, -1), ZOK);
  fired("exists watch on a node", ZOO_CHANGED_EVENT, late);
  len = LEN;
  CHECK("get", zoo_wget(zh, late, on_event, NULL, buf, &len, &st), ZOK);
  CHECK("delete", zoo_delete(zh, late, -1), ZOK);
  fired("data watch, delete", ZOO_DELETED_EVENT, late);
  CHECK("get_children", zoo_wget_children(zh, w, on_event, NULL, &names), ZOK);
  CHECK("create", create(zh, c, "", 0, NULL), ZOK);
  fired("children watch, create", ZOO_CHILD_EVENT, w);
  CHECK("get_children2", zoo_wget_children2(zh, w, on_event, NULL, &names, &st), ZOK);
  CHECK("delete", zoo_delete(zh, c, -1), ZOK);
  fired("children watch, delete", ZOO_CHILD_EVENT, w);
  CHECK("get_children", zoo_wget_children(zh, w, on_event, NULL, &names), ZOK);
  CHECK("delete", zoo_delete(zh, w, -1), ZOK);
  fired("children watch, own delete", ZOO_DELETED_EVENT, w);
  zookeeper_close(zh);
}

static void multi(void) {
  zhandle_t *zh = open_session(10000);
  const char *m = strdup(at("m")), *s = strdup(at("m/s-")), *none = strdup(at("none"));
  char n0[LEN], n3[LEN], n4[LEN];
  struct Stat set, st;
  zoo_op_t ops[6];
  zoo_op_result_t res[6];
  zoo_create_op_init(&ops[0], m, "a", 1, &ZOO_OPEN_ACL_UNSAFE, 0, n0, LEN);
  zoo_set_op_init(&ops[1], m, "bb", 2, 0, &set);
  zoo_check_op_init(&ops[2], m, 1);
  zoo_create_op_init(&ops[3], s, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, n3, LEN);
  zoo_create_op_init(&ops[4], s, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_SEQUENTIAL, n4, LEN);
  zoo_delete_op_init(&ops[5], at("m/s-0000000000"), 0);
  CHECK("multi", zoo_multi(zh, 6, ops, res), ZOK);
  for (int i = 0; i < 6; i++) CHECK("result", res[i].err, ZOK);
  CHECK_STR("name", n0, m);
  CHECK("version", set.version, 1);
  CHECK_STR("name", n3, at("m/s-0000000000"));
  CHECK_STR("name", n4, at("m/s-0000000001"));
  CHECK("exists", zoo_exists(zh, m, 0, &st), ZOK);
  CHECK("cversion", st.cversion, 3);
  CHECK("numChildren", st.numChildren, 1);
  CHECK("mzxid", st.mzxid, st.czxid);
  CHECK("pzxid", st.pzxid, st.czxid);
  zoo_set_op_init(&ops[0], m, "ccc", 3, -1, &set);
  zoo_check_op_init(&ops[1], m, 99);
  zoo_delete_op_init(&ops[2], none, -1);
  CHECK("failing multi", zoo_multi(zh, 3, ops, res), ZBADVERSION);
  CHECK("rolled back", res[0].err, ZOK);
  CHECK("failed", res[1].err, ZBADVERSION);
  CHECK("not tried", res[2].err, ZRUNTIMEINCONSISTENCY);
  get(zh, m, "bb", &st);
  zookeeper_close(zh);
}

static void auth_done(int rc, const void *data) {
  CHECK("add_auth", rc, ZOK);
  pthread_mutex_lock(&mu);
  *(int *)data = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mu);
}

static void add_auth(zhandle_t *zh, const char *id) {
  struct timespec until = deadline();
  int done = 0;
  CHECK("add_auth", zoo_add_auth(zh, "digest", id, strlen(id), auth_done, &done), ZOK);
  pthread_mutex_lock(&mu);
  while (!done)
    if (pthread_cond_timedwait(&changed, &mu, &until) != 0) fail("no reply to auth");
  pthread_mutex_unlock(&mu);
}

static void acl(void) {
  zhandle_t *owner = open_session(10000), *other = open_session(10000);
  const char *a = strdup(at("a"));
  char buf[LEN];
  int len = LEN;
  struct Stat st;
  struct ACL_vector list;
  struct String_vector names;
  CHECK("create with auth and no id", zoo_create(owner, a, "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZINVALIDACL);
  add_auth(owner, "alice:secret");
  CHECK("create", zoo_create(owner, a, "x", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
  CHECK("get_acl", zoo_get_acl(owner, a, &list, &st), ZOK);
  CHECK("entries", list.count, 1);
  CHECK("perms", list.data[0].perms, ZOO_PERM_ALL);
  CHECK_STR("scheme", list.data[0].id.scheme, "digest");
  CHECK("id", strncmp(list.data[0].id.id, "alice:", 6), 0);
  CHECK("get", zoo_get(other, a, 0, buf, &len, &st), ZNOAUTH);
  CHECK("set", zoo_set(other, a, "", 0, -1), ZNOAUTH);
  CHECK("create", create(other, at("a/c"), "", 0, NULL), ZNOAUTH);
  CHECK("get_children", zoo_get_children(other, a, 0, &names), ZNOAUTH);
  CHECK("set_acl", zoo_set_acl(other, a, -1, &ZOO_OPEN_ACL_UNSAFE), ZNOAUTH);
  add_auth(other, "alice:wrong");
  CHECK("get", zoo_get(other, a, 0, buf, &len, &st), ZNOAUTH);
  add_auth(other, "alice:secret");
  get(other, a, "x", &st);
  CHECK("set_acl", zoo_set_acl(other, a, 0, &ZOO_READ_ACL_UNSAFE), ZOK);
  CHECK("set", zoo_set(owner, a, "", 0, -1), ZNOAUTH);
  get(owner, a, "x", &st);
  zookeeper_close(owner);
  zookeeper_close(other);
}

static void size(void) {
  // So long a name makes the reply with the data, which carries a Stat, shorter than the request.
  char name[101], *data = malloc(MAX_BUFFER), *got = malloc(MAX_BUFFER);
  memset(name, 'n', 100);
  name[100] = 0;
  const char *path = strdup(at(name));
  int n = MAX_BUFFER - 20 - strlen(path), len = MAX_BUFFER;
  struct Stat st;
  memset(data, 'd', MAX_BUFFER);
  zhandle_t *zh = open_session(10000);
  int64_t id = zoo_client_id(zh)->client_id;
  CHECK("create", create(zh, path, "", 0, NULL), ZOK);
  CHECK("set of 1 MB", zoo_set(zh, path, data, n, -1), ZOK);
  CHECK("get of 1 MB", zoo_get(zh, path, 0, got, &len, &st), ZOK);
  CHECK("length", len, n);
  CHECK("bytes", memcmp(got, data, n), 0);
  CHECK("set of 1 MB + 1", zoo_set(zh, path, data, n + 1, -1), ZCONNECTIONLOSS);
  await_connected(2);
  CHECK("exists", zoo_exists(zh, path, 0, &st), ZOK);
  CHECK("version", st.version, 1);
  CHECK("session", zoo_client_id(zh)->client_id, id);
  zookeeper_close(zh);
}

static void hold(void) {
  zhandle_t *zh = open_session(2000);
  CHECK("create", create(zh, at("held"), "", ZOO_EPHEMERAL, NULL), ZOK);
  printf("ready\n");
  while (getchar() != EOF) {
  }
}

static void survive(void) {
  zhandle_t *zh = open_session(20000);
  const char *watched = strdup(at("watched"));
  char buf[LEN];
  int len = LEN;
  struct Stat st;
  struct String_vector names;
  CHECK("create", create(zh, at("mine"), "kept", ZOO_EPHEMERAL, NULL), ZOK);
  CHECK("create", create(zh, watched, "", 0, NULL), ZOK);
  CHECK("get", zoo_wget(zh, watched, on_event, NULL, buf, &len, &st), ZOK);
  CHECK("get_children", zoo_wget_children(zh, root, on_event, NULL, &names), ZOK);
  int64_t id = zoo_client_id(zh)->client_id;
  printf("ready\n");
  while (getchar() != '\n') {
  }
  int times = 2;
  do { // the server that it has found may have lost its leader, and hang up as well
    await_connected(times++);
  } while (zoo_exists(zh, root, 0, &st) == ZCONNECTIONLOSS);
  get(zh, at("mine"), "kept", &st);
  CHECK("session", zoo_client_id(zh)->client_id, id);
  CHECK("owner", st.ephemeralOwner, id);
  CHECK("set", zoo_set(zh, watched, "", 0, 0), ZOK);
  fired("data watch set again", ZOO_CHANGED_EVENT, watched);
  CHECK("create", create(zh, at("new"), "", 0, NULL), ZOK);
  fired("children watch set again", ZOO_CHILD_EVENT, root);
  CHECK("get_children", zoo_get_children(zh, root, 0, &names), ZOK);
  CHECK("children", names.count, 3);
  zookeeper_close(zh);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*play)(void);
  } scenarios[] = {{"modes", modes}, {"sequence", sequence}, {"stat", stat_fields}, {"watches", watches}, {"multi", multi},
                   {"acl", acl},     {"size", size},         {"hold", hold},        {"survive", survive}};
  if (argc != 4) fail("usage: client ADDRESS SCENARIO ROOT");
  setvbuf(stdout, NULL, _IOLBF, 0);
  zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
  address = argv[1];
  root = argv[3];
  for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
    if (strcmp(scenarios[i].name, argv[2]) == 0) {
      scenarios[i].play();
      printf("ok\n");
      return 0;
    }
  }
  fail("no scenario %s", argv[2]);
}
