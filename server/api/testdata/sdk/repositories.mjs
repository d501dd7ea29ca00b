// Walks through every repository call of the published SDK. It reads the
// private key of the organisation from standard input, the origin of the server
// from the environment, and ends with an error at the first surprise.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { GitStorage } from '@pierre/storage';

const storage = new GitStorage({
  name: 'acme',
  key: readFileSync(0, 'utf8'),
  apiBaseUrl: process.env.HEADWATER_ORIGIN,
  storageBaseUrl: new URL(process.env.HEADWATER_ORIGIN).host,
});

// Create: plain, with a generated name, and linked.
const plain = await storage.createRepo({ id: 'team/plain' });
assert.equal(plain.id, 'team/plain');
assert.equal(plain.defaultBranch, 'main');
const generated = await storage.createRepo();
assert.match(generated.id, /^[0-9a-f-]{36}$/);
await assert.rejects(storage.createRepo({ id: 'team/plain' }), /Repository already exists/);
await storage.createRepo({
  id: 'team/public',
  baseRepo: { provider: 'github', owner: 'octocat', name: 'hello-world', auth: { authType: 'public' } },
});
await assert.rejects(
  storage.createRepo({ id: 'team/app-mode', baseRepo: { provider: 'github', owner: 'o', name: 'n' } }),
  (err) => err.status === 412 && /not configured/.test(err.message)
);
const generic = await storage.createRepo({
  id: 'team/generic',
  defaultBranch: 'trunk',
  baseRepo: { provider: 'gitlab', owner: 'group/sub', name: 'project', upstreamHost: 'gitlab.example.com' },
});
await assert.rejects(
  storage.createRepo({ id: 'team/fork', baseRepo: { id: 'team/nowhere', ref: 'main' } }),
  (err) => err.status === 404
);
await assert.rejects(storage.createRepo({ id: 'api/x' }), (err) => err.status === 400 && /invalid repository name/.test(err.message));

// List to the end, newest first.
for (let i = 0; i < 25; i++) {
  await storage.createRepo({ id: `many/${i}` });
}
const seen = [];
let cursor;
do {
  const page = await storage.listRepos({ limit: 10, cursor });
  assert.ok(page.repos.length <= 10);
  seen.push(...page.repos);
  cursor = page.nextCursor;
  assert.equal(page.hasMore, cursor !== undefined);
} while (cursor);
assert.equal(seen.length, 29);
assert.equal(seen[0].url, 'many/24');
assert.equal(seen.at(-1).url, 'team/plain');
assert.ok(!Number.isNaN(Date.parse(seen[0].createdAt)));
const linked = (await storage.listRepos({ q: 'GENERIC' })).repos;
assert.equal(linked.length, 1);
assert.deepEqual(linked[0].baseRepo, { provider: 'gitlab', owner: 'group/sub', name: 'project' });
assert.equal((await storage.listRepos()).repos.length, 20);
await assert.rejects(storage.listRepos({ cursor: '!' }), (err) => err.status === 400);

// Find.
const found = await storage.findOne({ id: 'team/generic' });
assert.equal(found.defaultBranch, 'trunk');
assert.ok(!Number.isNaN(Date.parse(found.createdAt)));
assert.equal(await storage.findOne({ id: 'team/none' }), null);

// Credentials, by public name and by internal id.
const credential = await storage.createGitCredential({ repoId: 'team/generic', username: 'bob', password: 'hunter2' });
assert.match(credential.id, /^ggc_/);
await assert.rejects(
  storage.createGitCredential({ repoId: linked[0].repoId, password: 'hunter2' }),
  /A credential already exists for this repository/
);
const updated = await storage.updateGitCredential({ id: credential.id, password: 'swordfish' });
assert.equal(updated.id, credential.id);
assert.ok(!Number.isNaN(Date.parse(updated.createdAt)));
await assert.rejects(storage.updateGitCredential({ id: 'ggc_none', password: 'x' }), /Credential not found/);
await storage.deleteGitCredential({ id: credential.id });
await assert.rejects(storage.deleteGitCredential({ id: credential.id }), /Credential not found/);
await storage.createGitCredential({ repoId: linked[0].repoId, password: 'hunter2' });

// Pull.
await generic.pullUpstream();
await generic.pullUpstream({ ref: 'main' });
await assert.rejects(plain.pullUpstream(), (err) => err.status === 400 && /no upstream configured/.test(err.message));

// Delete.
const deleted = await storage.deleteRepo({ id: 'team/plain' });
assert.match(deleted.repoId, /^repo_/);
assert.ok(deleted.message);
await assert.rejects(storage.deleteRepo({ id: 'team/plain' }), /Repository not found/);
assert.equal(await storage.findOne({ id: 'team/plain' }), null);

// A token that the caller made is sent on every call, whatever the call.
const token = new URL(await found.getRemoteURL({ permissions: ['git:read'], ttl: 600 })).password;
const limited = new GitStorage({ name: 'acme', token, apiBaseUrl: process.env.HEADWATER_ORIGIN });
assert.equal((await limited.findOne({ id: 'team/generic' })).defaultBranch, 'trunk');
await assert.rejects(limited.listRepos(), (err) => err.status === 403);
await assert.rejects(limited.repo({ id: 'team/generic' }).pullUpstream(), (err) => err.status === 403 && /git:write/.test(err.message));

console.log('every call answered as the SDK expects');
