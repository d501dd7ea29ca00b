// Makes a local and a synced repository with the published SDK, waits for the
// first sync, and prints the remotes that the SDK makes. It reads the private
// key from standard input and the rest from the environment, and ends with an
// error at the first surprise.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { GitStorage } from '@pierre/storage';

const { HEADWATER_ORIGIN: origin, FORGE_HOST: upstreamHost, FORGE_USER: username, FORGE_TOKEN: password } = process.env;
const storage = new GitStorage({
  name: 'local',
  key: readFileSync(0, 'utf8'),
  apiBaseUrl: origin,
  storageBaseUrl: new URL(origin).host,
});

const local = await storage.createRepo({ id: 'sdk/local', defaultBranch: 'trunk' });
assert.equal(local.defaultBranch, 'trunk');

const synced = await storage.createRepo({
  id: 'sdk/synced',
  baseRepo: { provider: 'gitea', owner: 'acme', name: 'widget', upstreamHost },
});
const credential = await storage.createGitCredential({ repoId: synced.id, username, password });
assert.match(credential.id, /^ggc_/);
await synced.pullUpstream();

// Ready is when the remote answers; until then it says so with 409.
const remote = await synced.getRemoteURL({ permissions: ['git:read', 'git:write'], ttl: 3600 });
const { href, username: user, password: token } = new URL(remote);
const probe = new URL(href);
probe.username = probe.password = '';
let answer;
for (let left = 600; left > 0; left--) {
  answer = await fetch(`${probe.href}/info/refs?service=git-upload-pack`, {
    headers: { Authorization: `Basic ${Buffer.from(`${user}:${token}`).toString('base64')}` },
  });
  await answer.arrayBuffer();
  if (answer.status !== 409) break;
  await setTimeout(50);
}
assert.equal(answer.status, 200);

const found = await storage.findOne({ id: 'sdk/synced' });
assert.equal(found.defaultBranch, 'main');
const listed = (await storage.listRepos({ q: 'sdk/' })).repos;
assert.deepEqual(listed.map((r) => r.url), ['sdk/synced', 'sdk/local']);
assert.equal(listed[0].baseRepo.provider, 'gitea');

console.log(
  JSON.stringify({
    local: await local.getRemoteURL(),
    synced: remote,
    ephemeral: await synced.getEphemeralRemoteURL(),
    import: await local.getImportRemoteURL(),
    readOnly: await synced.getRemoteURL({ permissions: ['git:read'] }),
  })
);
