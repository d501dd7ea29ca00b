// Scenarios of the Git remotes that the SDK makes.
import assert from 'node:assert/strict';
import { apiError, env, scenario, textOf } from './harness.mjs';

scenario('remotes', async (t) => {
  const repo = await t.seeded();
  for (const [url, suffix] of [
    [await repo.getRemoteURL(), ''], [await repo.getEphemeralRemoteURL(), '+ephemeral'], [await repo.getImportRemoteURL(), '+import'],
  ]) {
    const { protocol, host, pathname, username, password } = new URL(url);
    assert.deepEqual([protocol, host, pathname, username], ['https:', new URL(env.origin).host, `/${repo.id}${suffix}.git`, 't']);
    const claims = JSON.parse(Buffer.from(password.split('.')[1], 'base64url'));
    assert.deepEqual([claims.iss, claims.repo, claims.scopes], ['local', repo.id, ['git:write', 'git:read']]);
  }
  await t.git('clone', '--quiet', await repo.getRemoteURL(), 'work');
  assert.equal(await t.git('-C', 'work', 'rev-parse', 'HEAD'), repo.first.commitSha);
  await t.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '-m', 'By git');
  await t.git('-C', 'work', 'push', '--quiet', 'origin', 'main');
  const pushed = await t.git('-C', 'work', 'rev-parse', 'HEAD');
  assert.equal((await repo.listCommits({ limit: 1 })).commits[0].sha, pushed);
  // What the API commits is what the next fetch brings.
  const made = await t.commit(repo, { api: 'x' });
  await t.git('-C', 'work', 'pull', '--quiet', '--ff-only');
  assert.equal(await t.git('-C', 'work', 'rev-parse', 'HEAD'), made.commitSha);
  assert.equal(await t.git('-C', 'work', 'rev-parse', 'HEAD^{tree}'), made.treeSha);

  const wrong = new URL(await t.storage.repo({ id: 'sdk/no-such' }).getRemoteURL());
  assert.match(await t.gitFails('ls-remote', wrong.href), /not found/);
  wrong.password = 'nonsense';
  assert.match(await t.gitFails('ls-remote', wrong.href), /Authentication failed|403|401|could not read/);
  const other = new URL(await repo.getRemoteURL());
  other.pathname = '/sdk/other.git'; // a token opens one repository
  assert.match(await t.gitFails('ls-remote', other.href), /403|not found/);
});

scenario('ephemeral remote', async (t) => {
  const repo = await t.seeded();
  const url = await repo.getEphemeralRemoteURL();
  await t.git('clone', '--quiet', await repo.getRemoteURL(), 'work');
  await t.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '-m', 'Draft');
  await t.git('-C', 'work', 'push', '--quiet', url, 'HEAD:draft');
  const sha = await t.git('-C', 'work', 'rev-parse', 'HEAD');
  assert.equal(await t.git('ls-remote', url), `${sha}\trefs/heads/draft`);
  assert.deepEqual((await repo.listBranches({ ephemeral: true })).branches.map((b) => [b.name, b.headSha]), [['draft', sha]]);
  assert.doesNotMatch(await t.git('ls-remote', await repo.getRemoteURL()), /draft/);
  await apiError(repo.getCommit({ sha: 'draft' }), 404);
  await t.git('-C', 'work', 'push', '--quiet', '--delete', url, 'draft');
  assert.deepEqual((await repo.listBranches({ ephemeral: true })).branches, []);
  if (t.upstream(repo)) assert.deepEqual(Object.keys(await t.upstream(repo).refs()), ['refs/heads/main']);
});

scenario('import remote', async (t) => {
  const repo = await t.empty();
  const url = await repo.getImportRemoteURL();
  await t.git('init', '--quiet', 'work');
  await t.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '-m', 'Imported');
  if (env.synced) { // what upstream owns comes from there
    await t.gitFails('-C', 'work', 'push', '--quiet', url, 'HEAD:main');
    return;
  }
  await t.git('-C', 'work', 'push', '--quiet', url, 'HEAD:main');
  assert.equal((await repo.listCommits()).commits[0].message.trim(), 'Imported');
  await t.gitFails('ls-remote', url);
  await t.commit(repo, { a: 'a' });
  assert.equal(await textOf(repo, 'a'), 'a');
});
