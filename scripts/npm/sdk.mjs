// Drives a Headwater server with the published TypeScript SDK, as a user of it
// would: create a synced repository, store its credential, pull, look, clean up.
// sdk_test.go runs it. It prints one JSON object, or fails.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const env = process.env;
const require = createRequire(env.HEADWATER_NODE_MODULES + '/');
const { GitStorage } = require('@pierre/storage');

const store = new GitStorage({
  name: 'local',
  key: readFileSync(env.SDK_KEY_FILE, 'utf8'),
  apiBaseUrl: env.SDK_SERVER,
  storageBaseUrl: new URL(env.SDK_SERVER).host,
});
const id = 'river/delta';
const password = readFileSync(env.SDK_TOKEN_FILE, 'utf8').trim();

const repo = await store.createRepo({
  id,
  baseRepo: { provider: 'gitea', owner: 'river', name: 'delta', upstreamHost: env.SDK_FORGE },
});
assert.equal(repo.id, id);
await assert.rejects(store.createRepo({ id }), /already exists/i);

const credential = await store.createGitCredential({ repoId: id, username: 'river', password: 'wrong' });
assert.match(credential.id, /^ggc_/);
await assert.rejects(store.createGitCredential({ repoId: id, password }), /credential already exists/);
assert.ok((await store.updateGitCredential({ id: credential.id, password })).createdAt);

await repo.pullUpstream();
// The SDK does not show the state of a sync, so ask with its own token.
const remote = new URL(await repo.getRemoteURL({ permissions: ['git:read'] }));
const headers = { Authorization: `Bearer ${remote.password}` };
const deadline = Date.now() + 60_000;
for (;;) {
  const answer = await (await fetch(`${env.SDK_SERVER}/api/v1/repo`, { headers })).json();
  if (answer.sync.state === 'ready') break;
  assert.notEqual(answer.sync.state, 'failing', JSON.stringify(answer.sync));
  assert.ok(Date.now() < deadline, 'the first sync did not end');
  await new Promise((resolve) => setTimeout(resolve, 100));
}

const found = await store.findOne({ id });
assert.equal(found.id, id);
assert.equal(await store.findOne({ id: 'no/such' }), null);
const list = await store.listRepos({ limit: 10 });
assert.deepEqual(list.repos.map((r) => r.url), [id]);
assert.equal(list.repos[0].defaultBranch, 'main');

const urls = {
  remote: await repo.getRemoteURL(),
  ephemeral: await repo.getEphemeralRemoteURL(),
};
await store.deleteGitCredential({ id: credential.id });
console.log(JSON.stringify(urls));
