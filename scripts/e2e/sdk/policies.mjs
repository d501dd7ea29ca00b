// Scenarios of ref policies in tokens: who may move what.
import assert from 'node:assert/strict';
import { apiError, author, refused, scenario, sdk } from './harness.mjs';

const { OP_NO_FORCE_PUSH, OP_NO_PUSH, OP_VERIFY_SIG } = sdk;
const nothing = (pattern) => [{ pattern, ops: [OP_NO_PUSH] }];

scenario('policies on every write', async (t) => {
  const repo = await t.seeded();
  const { commitSha: first } = repo.first;
  await t.commit(repo, { t: 't' }, { targetBranch: 'topic', baseBranch: 'main' });
  await repo.createTag({ name: 'v1', target: first });
  await repo.createNote({ sha: first, note: 'n' });
  await repo.createBranch({ baseBranch: 'main', targetBranch: 'draft', targetIsEphemeral: true });
  const diff = '--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1,3 +1,3 @@\n-one\n+1\n two\n three\n';
  const commit = { targetBranch: 'main', commitMessage: 'm', author };
  const attempts = {
    commit: (p) => [t.commit(repo, { x: 'x' }, { refPolicies: p })],
    diff: (p) => [repo.createCommitFromDiff({ ...commit, diff, refPolicies: p })],
    restore: (p) => [repo.restoreCommit({ ...commit, targetCommitSha: first, refPolicies: p })],
  };
  for (const policies of [nothing('main'), nothing('refs/heads/main'), nothing('refs/heads/*'), nothing('*')]) {
    for (const attempt of Object.values(attempts)) {
      for (const promise of attempt(policies)) await refused(promise, 'forbidden', /denied by policy/);
    }
  }
  const refPolicies = nothing('*');
  await apiError(repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'ff_only', refPolicies }), 403, /denied by policy/);
  await apiError(repo.createBranch({ baseBranch: 'main', targetBranch: 'x', refPolicies }), 403);
  await apiError(repo.deleteBranch({ name: 'topic', refPolicies }), 403);
  await apiError(repo.createTag({ name: 'v2', target: first, refPolicies: nothing('refs/tags/*') }), 403);
  await apiError(repo.deleteTag({ name: 'v1', refPolicies: nothing('refs/tags/v1') }), 403);
  for (const write of ['createNote', 'appendNote', 'deleteNote']) {
    await refused(repo[write]({ sha: first, note: 'x', refPolicies: nothing('refs/notes/*') }), 'forbidden');
  }
  // What is no user's write is not refused.
  if (t.upstream(repo)) await repo.pullUpstream({ refPolicies });

  // A rule about other refs does not matter.
  await t.commit(repo, { y: 'y' }, { refPolicies: nothing('refs/heads/release/*') });
  await repo.createTag({ name: 'v2', target: first, refPolicies: nothing('refs/heads/*') });
  await repo.appendNote({ sha: first, note: 'x', refPolicies: nothing('refs/heads/*') });
});

scenario('order and kinds of policies', async (t) => {
  const repo = await t.seeded();
  const deny = { pattern: '*', ops: [OP_NO_PUSH] };
  const allow = (pattern) => ({ pattern, ops: [] });
  // The first rule that matches decides.
  await t.commit(repo, { a: 'a' }, { targetBranch: 'agents/7/a', baseBranch: 'main', refPolicies: [allow('agents/*'), deny] });
  await refused(t.commit(repo, { a: 'a' }, { refPolicies: [allow('agents/*'), deny] }), 'forbidden');
  await refused(t.commit(repo, { a: 'a' }, { targetBranch: 'agents/8', baseBranch: 'main', refPolicies: [deny, allow('agents/*')] }), 'forbidden');

  // Going forward is no force, deleting is.
  await t.commit(repo, { a: 'b' }, { refPolicies: [{ pattern: '*', ops: [OP_NO_FORCE_PUSH] }] });
  await apiError(repo.deleteBranch({ name: 'agents/7/a', refPolicies: [{ pattern: '*', ops: [OP_NO_FORCE_PUSH] }] }), 403);
  // The API signs nothing.
  await refused(t.commit(repo, { a: 'c' }, { refPolicies: [{ pattern: 'main', ops: [OP_VERIFY_SIG] }] }), 'forbidden');
  // What is not understood opens nothing.
  for (const bad of [{ pattern: 'main', ops: ['no-such-op'] }, { pattern: 'a*b', ops: [OP_NO_PUSH] }]) {
    await refused(t.commit(repo, { a: 'd' }, { refPolicies: [bad] }), 'unauthorized');
    await apiError(repo.createBranch({ baseBranch: 'main', targetBranch: 'y', refPolicies: [bad] }), 401);
  }

  // Ephemeral branches go by the names that clients see.
  await repo.createBranch({ baseBranch: 'main', targetBranch: 'draft', targetIsEphemeral: true });
  const draft = { targetBranch: 'draft', ephemeral: true };
  await t.commit(repo, { a: 'e' }, { ...draft, refPolicies: [allow('draft'), deny] });
  await refused(t.commit(repo, { a: 'f' }, { ...draft, refPolicies: nothing('refs/heads/draft') }), 'forbidden');
  await apiError(repo.deleteBranch({ name: 'draft', ephemeral: true, refPolicies: [deny] }), 403);
});

scenario('policies of remotes', async (t) => {
  const repo = await t.seeded();
  const remote = (options) => repo.getRemoteURL(options);
  await t.git('clone', '--quiet', await remote({ permissions: ['git:read'], ttl: 600 }), 'work');
  await t.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '-m', 'By git');
  const push = async (url, ...refs) => t.git('-C', 'work', 'push', await url, ...refs);
  const pushFails = async (url, ...refs) => t.gitFails('-C', 'work', 'push', await url, ...refs);

  assert.match(await pushFails(remote({ permissions: ['git:read'] }), 'HEAD:main'), /git:write|403/);
  for (const policy of [{ refPolicies: nothing('main') }, { ops: [OP_NO_PUSH] }]) {
    assert.match(await pushFails(remote(policy), 'HEAD:main'), /\[remote rejected\].*\(denied by policy\)/);
  }
  // One ref is refused, the other one goes through.
  assert.match(await pushFails(remote({ refPolicies: nothing('main') }), 'HEAD:main', 'HEAD:other'), /new branch[^]*denied by policy|denied by policy[^]*new branch/);
  const branches = (await repo.listBranches()).branches.map((b) => b.name);
  assert.deepEqual(branches, ['main', 'other']);

  await push(remote({ refPolicies: [{ pattern: 'main', ops: [OP_NO_FORCE_PUSH] }] }), 'HEAD:main');
  await t.git('-C', 'work', 'reset', '--quiet', '--hard', 'HEAD~1');
  await t.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '-m', 'Instead');
  assert.match(await pushFails(remote({ ops: [OP_NO_FORCE_PUSH] }), '+HEAD:main'), /denied by policy/);
  await push(remote({ refPolicies: [{ pattern: '*', ops: [] }], ops: [OP_NO_FORCE_PUSH] }), '+HEAD:other').then(
    () => assert.fail('the legacy claim is folded into the rule for everything'),
    (error) => assert.match(error.stderr, /denied by policy/)
  );
  assert.match(await pushFails(remote({ ops: [OP_VERIFY_SIG] }), 'HEAD:unsigned'), /denied by policy|signature/);
  await push(remote(), '+HEAD:main');
  assert.equal((await repo.getCommit({ sha: 'main' })).commit.message.trim(), 'Instead');
  if (t.upstream(repo)) {
    assert.deepEqual(await t.upstream(repo).refs(), Object.fromEntries((await repo.listBranches()).branches.map((b) => [`refs/heads/${b.name}`, b.headSha])));
  }
});
