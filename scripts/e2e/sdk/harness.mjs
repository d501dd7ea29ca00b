// The harness of the conformance suite: it loads the published SDK, gives each
// scenario repositories of its own, and watches every call.
//
// Watching means: which public methods have succeeded, for the list that
// sdk_test.go compares with the SDK's own type declarations; and after every
// write, that a failed one has moved nothing, here or upstream, and that after
// a successful one the upstream has exactly the branches and tags that are
// served here, and nothing else.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

export const env = {
  origin: process.env.SDK_ORIGIN,
  ca: process.env.NODE_EXTRA_CA_CERTS,
  control: process.env.SDK_CONTROL, // of the test that runs this; see control_test.go
  synced: process.env.SDK_KIND === 'synced',
};

export const sdk = createRequire(process.env.HEADWATER_NODE_MODULES + '/')('@pierre/storage');
const { GitStorage, RefUpdateError, ApiError } = sdk;
const key = readFileSync(process.env.SDK_KEY_FILE, 'utf8');

export const author = { name: 'Ada', email: 'ada@example.test' };
export const committer = { name: 'Carl', email: 'carl@example.test' };
export const zeros = '0'.repeat(40);
export const hex40 = /^[0-9a-f]{40}$/;

// newStorage returns a client that is not watched.
export function newStorage(options = {}) {
  return new GitStorage({
    name: 'local',
    key: options.token ? undefined : key,
    apiBaseUrl: env.origin,
    storageBaseUrl: new URL(env.origin).host,
    ...options,
  });
}

// control asks the test that runs this suite.
export async function control(verb, body = {}) {
  const answer = await fetch(`${env.control}/${verb}`, { method: 'POST', body: JSON.stringify(body) });
  const text = await answer.text();
  assert.equal(answer.status, 200, `${verb}: ${text}`);
  return JSON.parse(text);
}

// --- watching ------------------------------------------------------------------

const succeeded = new Set();

// writes are the methods that move refs.
const writes = new Set([
  'createBranch', 'deleteBranch', 'createTag', 'deleteTag', 'createNote', 'appendNote', 'deleteNote',
  'merge', 'restoreCommit', 'createCommitFromDiff',
]);

const upstreams = new Map(); // by the id of the repository

// pages reads a listing to its end.
export async function pages(list, field, options = {}) {
  const all = [];
  for (let cursor, n = 0; ; n++) {
    const page = await list({ ...options, cursor });
    all.push(...page[field]);
    if (!page.hasMore) {
      assert.equal(page.nextCursor, undefined, 'a last page has a cursor');
      return all;
    }
    assert.ok(page.nextCursor, 'there is more, but no cursor');
    assert.ok(n < 10_000, 'the pages never end');
    cursor = page.nextCursor;
  }
}

// refsOf returns everything that can be listed of a repository: branches, tags,
// notes and ephemeral branches by their full names.
export async function refsOf(repo) {
  const branches = (ephemeral) =>
    pages((o) => repo.listBranches(o), 'branches', { limit: 100, ephemeral });
  const [heads, drafts, tags, notes] = await Promise.all([
    branches(false), branches(true),
    pages((o) => repo.listTags(o), 'tags', { limit: 100 }),
    pages((o) => repo.listNotesRefs(o), 'refs', { limit: 100 }),
  ]);
  const refs = {};
  for (const b of heads) refs[`refs/heads/${b.name}`] = b.headSha;
  for (const b of drafts) refs[`ephemeral:${b.name}`] = b.headSha;
  for (const tag of tags) refs[`refs/tags/${tag.name}`] = tag.sha;
  for (const note of notes) refs[note.ref] = note.sha;
  return refs;
}

// assertUpstream checks that the upstream has the branches and tags that are
// served here, and no other ref.
export async function assertUpstream(repo, refs) {
  const upstream = upstreams.get(repo.id);
  if (!upstream) return;
  const shared = Object.entries(refs ?? (await refsOf(repo))).filter(([ref]) => /^refs\/(heads|tags)\//.test(ref));
  assert.deepEqual(await upstream.refs(), Object.fromEntries(shared), 'the upstream has other refs');
}

// known is what the last checked write has left, by the id of the repository,
// where nothing else has written since.
const known = new Map();

// watched runs one write and checks what it has moved.
async function watched(repo, write) {
  const before = known.get(repo.id) ?? (await refsOf(repo));
  known.delete(repo.id);
  let result, failure;
  try {
    result = await write();
  } catch (error) {
    failure = error;
  }
  const after = await refsOf(repo);
  if (failure) assert.deepEqual(after, before, `a failed write has moved a ref: ${failure.message}`);
  await assertUpstream(repo, after);
  known.set(repo.id, after);
  if (failure) throw failure;
  return result;
}

// unwatchedWrite runs a write that may overlap with others.
async function unwatchedWrite(repo, write) {
  try {
    return await write();
  } finally {
    known.delete(repo.id);
  }
}

// watchBuilder watches a commit builder. What it sends is a write.
function watchBuilder(builder, run) {
  return new Proxy(builder, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== 'function') return value;
      return (...args) => {
        if (name === 'send') {
          return run(() => value.apply(target, args)).then((result) => {
            succeeded.add('CommitBuilder.send').add('Repo.createCommit');
            return result;
          });
        }
        assert.equal(value.apply(target, args), target, `${name} does not return the builder`);
        succeeded.add(`CommitBuilder.${name}`);
        return watchBuilder(target, run);
      };
    },
  });
}

const unwatched = new WeakMap();

// watch watches a repository handle; with checks, its writes are checked, too.
function watch(repo, checks) {
  const run = (write) => (checks ? watched : unwatchedWrite)(repo, write);
  const proxy = new Proxy(repo, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== 'function' || typeof name !== 'string') return value;
      if (name === 'createCommit') return (options) => watchBuilder(target.createCommit(options), run);
      return async (...args) => {
        const call = () => value.apply(target, args);
        const result = await (writes.has(name) ? run(call) : call());
        succeeded.add(`Repo.${name}`);
        return result;
      };
    },
  });
  unwatched.set(proxy, repo);
  return proxy;
}

// unchecked returns a handle whose writes may overlap. Its user looks at the
// outcome.
export const unchecked = (repo) => watch(unwatched.get(repo) ?? repo, false);

// watchStorage watches a client and the handles that it gives.
export function watchStorage(storage) {
  return new Proxy(storage, {
    get(target, name) {
      const value = target[name];
      if (typeof value !== 'function' || typeof name !== 'string') return value;
      const seen = (result) => {
        succeeded.add(`GitStorage.${name}`);
        return result && typeof result.getRemoteURL === 'function' ? watch(result, true) : result;
      };
      return (...args) => {
        const result = value.apply(target, args);
        return result instanceof Promise ? result.then(seen) : seen(result);
      };
    },
  });
}

// --- expectations --------------------------------------------------------------

// refused expects a RefUpdateError with the reason.
export async function refused(promise, reason, message) {
  const error = await promise.then((r) => new Error(`succeeded, should be refused: ${reason}: ${JSON.stringify(r)}`), (e) => e);
  assert.ok(error instanceof RefUpdateError, `not a RefUpdateError: ${error.stack}`);
  assert.equal(error.reason, reason, error.message);
  if (message) assert.match(error.message, message);
  return error;
}

// apiError expects an ApiError with the status, and the error envelope in it.
export async function apiError(promise, status, message) {
  const error = await promise.then((r) => new Error(`succeeded, should answer ${status}: ${JSON.stringify(r)}`), (e) => e);
  assert.ok(error instanceof ApiError, `not an ApiError: ${error.stack}`);
  assert.equal(error.status, status, error.message);
  assert.equal(typeof error.body?.error, 'string', `no error envelope: ${JSON.stringify(error.body)}`);
  assert.equal(error.body.status, status);
  if (message) assert.match(error.message, message);
  return error;
}

// textOf reads a file as text.
export async function textOf(repo, path, options = {}) {
  const answer = await repo.getFileStream({ path, ...options });
  assert.equal(answer.status, 200);
  return answer.text();
}

// --- scenarios -----------------------------------------------------------------

const scenarios = [];

// scenario declares one. only: 'local' or 'synced' or undefined for both;
// faults: it needs an upstream that can be made to fail.
export function scenario(name, options, run) {
  if (!run) [options, run] = [{}, options];
  scenarios.push({ name, ...options, run });
}

// world is what a scenario gets.
class World {
  constructor(name) {
    this.name = name.replaceAll(/[^a-zA-Z0-9]+/g, '-');
    this.count = 0;
    this.storage = watchStorage(newStorage());
    this.cleanups = [];
  }

  // empty makes a repository without a commit: a local one, or one that
  // follows an empty repository upstream.
  async empty(options = {}) {
    const id = `sdk/${this.name}-${++this.count}`;
    if (!env.synced || options.local) return this.storage.createRepo({ id, ...options.create });
    const at = await control('create', { name: id.replaceAll('/', '-') });
    upstreams.set(id, {
      ...at,
      refs: () => control('refs', { path: at.path }),
      protect: (branch) => control('protect', { path: at.path, branch }),
      unprotect: () => control('unprotect', { path: at.path }),
      commit: (branch) => {
        known.delete(id);
        return control('commit', { path: at.path, branch });
      },
      fault: (fault) => control('fault', { path: at.path, ...fault }),
    });
    const repo = await this.storage.createRepo({
      id,
      ...options.create,
      baseRepo: { provider: 'gitea', owner: at.owner, name: at.name, upstreamHost: at.host },
    });
    await this.storage.createGitCredential({ repoId: id, username: at.username, password: at.password });
    await repo.pullUpstream();
    await this.ready(repo);
    return repo;
  }

  // ready waits for the end of a first sync.
  async ready(repo) {
    for (let left = 600; ; left--) {
      try {
        return await repo.listBranches();
      } catch (error) {
        if (error.status !== 409 || left === 0) throw error;
        assert.match(error.message, /repository sync in progress\. please retry short/);
      }
      await sleep(50);
    }
  }

  // seeded makes a repository with one commit on main.
  async seeded(files = { 'README.md': '# Delta\n', 'src/a.txt': 'one\ntwo\nthree\n' }, options) {
    const repo = await this.empty(options);
    repo.first = await this.commit(repo, files, { commitMessage: 'First' });
    return repo;
  }

  // commit commits files; null deletes one.
  commit(repo, files, options = {}) {
    let builder = repo.createCommit({ targetBranch: 'main', commitMessage: 'Change', author, ...options });
    for (const [path, content] of Object.entries(files)) {
      builder = content === null ? builder.deletePath(path) : builder.addFileFromString(path, content);
    }
    return builder.send();
  }

  upstream(repo) {
    return upstreams.get(repo.id);
  }

  // git runs git; its folder is a new one at first.
  async git(...args) {
    known.clear(); // it may push to any of them
    if (!this.folder) {
      this.folder = mkdtempSync(join(tmpdir(), 'headwater-sdk-'));
      this.cleanups.push(() => rmSync(this.folder, { recursive: true }));
    }
    const run = promisify(execFile);
    const options = {
      cwd: this.folder,
      maxBuffer: 1 << 26,
      env: {
        PATH: process.env.PATH, HOME: this.folder, LC_ALL: 'C',
        GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0', GIT_SSL_CAINFO: env.ca,
        GIT_AUTHOR_NAME: 'A', GIT_AUTHOR_EMAIL: 'a@example.test', GIT_COMMITTER_NAME: 'A', GIT_COMMITTER_EMAIL: 'a@example.test',
      },
    };
    const { stdout } = await run('git', args, options);
    return stdout.trimEnd();
  }

  // gitFails runs git, which must fail, and returns what it says.
  async gitFails(...args) {
    const error = await this.git(...args).then(() => assert.fail(`git ${args[0]} succeeded`), (e) => e);
    return error.stderr ?? assert.fail(error);
  }
}

// main runs the scenarios, a few at a time, and prints a line of JSON for each,
// and one for all.
export async function main({ faults = true, parallel = 4, match = '' } = {}) {
  const queue = scenarios.filter((s) => {
    if (s.only && (s.only === 'synced') !== env.synced) return false;
    return (faults || !s.faults) && s.name.includes(match);
  });
  const print = (line) => process.stdout.write(JSON.stringify(line) + '\n');
  const worker = async () => {
    for (let s; (s = queue.shift()); ) {
      const world = new World(s.name);
      const began = Date.now();
      let error;
      try {
        await s.run(world);
      } catch (e) {
        error = e.stack + (e.body ? `\n${JSON.stringify(e.body)}` : '');
      }
      for (const cleanup of world.cleanups) cleanup();
      print({ scenario: s.name, ms: Date.now() - began, error });
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  print({ succeeded: [...succeeded].sort() });
}
