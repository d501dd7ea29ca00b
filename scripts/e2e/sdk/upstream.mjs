// Scenarios of synced repositories alone: hosts that refuse, fail and move.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { apiError, author, control, env, refsOf, refused, scenario, textOf, unchecked, zeros } from './harness.mjs';

// until calls look until it returns something.
async function until(look) {
  for (let left = 400; left > 0; left--) {
    const seen = await look();
    if (seen) return seen;
    await sleep(50);
  }
  return assert.fail(`does not come: ${look}`);
}

const tip = async (repo, sha = 'main') => (await repo.getCommit({ sha })).commit.sha;

scenario('a protected branch', { only: 'synced' }, async (t) => {
  const repo = await t.seeded();
  await t.commit(repo, { t: 't' }, { targetBranch: 'topic', baseBranch: 'main' });
  const second = await t.commit(repo, { s: 's' });
  const upstream = t.upstream(repo);
  await upstream.protect('main');
  // The host's own words come out of every kind of write.
  const words = /[Nn]ot allowed to push to protected branch/;
  const commit = { targetBranch: 'main', commitMessage: 'm', author };
  const error = await refused(t.commit(repo, { x: 'x' }), 'failed', words);
  assert.equal(error.refUpdate.branch, 'main');
  await refused(t.commit(repo, { x: 'x' }, { expectedHeadSha: second.commitSha }), 'failed', words);
  const diff = '--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1,3 +1,3 @@\n-one\n+1\n two\n three\n';
  await refused(repo.createCommitFromDiff({ ...commit, diff }), 'failed', words);
  await refused(repo.restoreCommit({ ...commit, targetCommitSha: repo.first.commitSha }), 'failed', words);
  await apiError(repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'merge', commitMessage: 'm', author }), 422, words);
  assert.equal(await tip(repo), second.commitSha);
  // Other branches, and what never goes upstream, are not concerned.
  await t.commit(repo, { u: 'u' }, { targetBranch: 'topic' });
  await t.commit(repo, { u: 'u' }, { targetBranch: 'main', ephemeral: true, baseBranch: 'main' });
  await repo.createNote({ sha: second.commitSha, note: 'n' });
  // Git shows the words, too.
  await t.git('clone', '--quiet', await repo.getRemoteURL(), 'work');
  await t.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '-m', 'By git');
  assert.match(await t.gitFails('-C', 'work', 'push', 'origin', 'main'), words);
  await upstream.unprotect();
  await t.commit(repo, { x: 'x' });
});

scenario('an upstream that has moved', { only: 'synced' }, async (t) => {
  const repo = await t.seeded();
  const upstream = t.upstream(repo);
  const free = unchecked(repo);
  const theirs = await upstream.commit('main');
  // Built on what is not the tip any more: never overwritten, with or without a guard.
  for (const expectedHeadSha of [repo.first.commitSha, undefined]) {
    const outcome = await t.commit(free, { mine: 'x' }, { expectedHeadSha }).catch((e) => e);
    if (outcome instanceof Error) {
      assert.ok(['precondition_failed', 'conflict'].includes(outcome.reason), outcome.stack);
      assert.equal((await upstream.refs())['refs/heads/main'], theirs);
    } else {
      assert.equal(expectedHeadSha, undefined, 'a commit was made on a tip that was not expected');
      assert.deepEqual((await repo.getCommit({ sha: outcome.commitSha })).commit.parentShas, [theirs]);
    }
  }
  // The refusal has made the server look: the tip is here by itself.
  await until(async () => (await repo.listCommits()).commits.some((c) => c.sha === theirs));
  const made = await t.commit(repo, { again: 'x' });
  assert.equal((await upstream.refs())['refs/heads/main'], made.commitSha);
});

scenario('pulling', { only: 'synced' }, async (t) => {
  const repo = await t.seeded();
  await repo.createBranch({ baseBranch: 'main', targetBranch: 'topic' });
  await repo.createBranch({ baseBranch: 'main', targetBranch: 'draft', targetIsEphemeral: true });
  const upstream = t.upstream(repo);
  const [main, topic] = [await upstream.commit('main'), await upstream.commit('topic')];
  assert.equal(await repo.pullUpstream({ ref: 'topic' }), undefined);
  await until(async () => (await tip(repo, 'topic')) === topic);
  await repo.pullUpstream();
  await until(async () => (await tip(repo)) === main);
  assert.deepEqual(await refsOf(repo), { 'refs/heads/main': main, 'refs/heads/topic': topic, 'ephemeral:draft': repo.first.commitSha });
});

scenario('a first sync that runs', { only: 'synced', faults: true }, async (t) => {
  const at = await control('create', { name: t.name });
  const fault = (more) => control('fault', { path: at.path, ...more });
  await fault({ stall: true });
  const id = `sdk/${t.name}`;
  const repo = unchecked(await t.storage.createRepo({ id, baseRepo: { provider: 'gitea', owner: at.owner, name: at.name, upstreamHost: at.host } }));
  const { id: credential } = await t.storage.createGitCredential({ repoId: id, username: at.username, password: at.password });
  await repo.pullUpstream();
  const busy = /repository sync in progress\. please retry short/;
  await until(async () => (await repo.listBranches().catch((e) => e)).status === 409);
  await apiError(repo.listFiles(), 409, busy);
  await apiError(repo.createBranch({ baseBranch: 'main', targetBranch: 'x' }), 409, busy);
  await refused(t.commit(repo, { a: 'a' }), 'unavailable', busy);
  await refused(repo.restoreCommit({ targetBranch: 'main', targetCommitSha: '1'.repeat(40), author }), 'unavailable', busy);
  await refused(repo.createNote({ sha: '1'.repeat(40), note: 'x' }), 'unavailable', busy);
  assert.match(await t.gitFails('ls-remote', await repo.getRemoteURL()), /409|in progress/);
  // These work all the same.
  assert.equal((await t.storage.findOne({ id })).id, id);
  await t.storage.updateGitCredential({ id: credential, username: at.username, password: at.password });
  await repo.pullUpstream();
  await fault();
  await t.ready(repo);
  await t.commit(repo, { a: 'a' });
});

scenario('an upstream that is down', { only: 'synced', faults: true }, async (t) => {
  const repo = await t.seeded();
  await t.commit(repo, { t: 't' }, { targetBranch: 'topic', baseBranch: 'main' });
  const upstream = t.upstream(repo);
  await upstream.fault({ status: 503 });
  const commit = { targetBranch: 'main', commitMessage: 'm', author };
  await refused(t.commit(repo, { x: 'x' }), 'unavailable');
  await refused(repo.restoreCommit({ ...commit, targetBranch: 'topic', targetCommitSha: repo.first.commitSha }), 'unavailable');
  for (const write of [
    () => repo.createBranch({ baseBranch: 'main', targetBranch: 'x' }), () => repo.deleteBranch({ name: 'topic' }),
    () => repo.createTag({ name: 'v1', target: repo.first.commitSha }), () => repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'ff_only' }),
  ]) {
    const error = await write().catch((e) => e);
    assert.ok([502, 503].includes(error.status), error.stack);
  }
  // Reads work, and so does what never goes upstream.
  assert.equal(await textOf(repo, 'README.md'), '# Delta\n');
  await t.commit(repo, { d: 'd' }, { targetBranch: 'draft', baseBranch: 'main', ephemeral: true });
  await repo.createNote({ sha: repo.first.commitSha, note: 'n' });
  await upstream.fault();
  await t.commit(repo, { x: 'x' });
});

scenario('a credential that is wrong', { only: 'synced' }, async (t) => {
  const repo = await t.seeded();
  const listed = (await t.storage.listRepos({ q: repo.id })).repos.find((r) => r.url === repo.id);
  assert.equal(listed.baseRepo.provider, 'gitea');
  const answer = await fetch(`${env.origin}/api/v1/repo`, { headers: { Authorization: `Bearer ${new URL(await repo.getRemoteURL()).password}` } });
  const { credential } = await answer.json();
  const at = t.upstream(repo);
  await t.storage.updateGitCredential({ id: credential.id, username: at.username, password: 'wrong' });
  const error = await t.commit(repo, { x: 'x' }).catch((e) => e);
  assert.ok(['failed', 'forbidden', 'unavailable', 'unauthorized'].includes(error.reason), error.stack);
  assert.doesNotMatch(error.message, /wrong/);
  assert.equal(await tip(repo), repo.first.commitSha);
  await t.storage.updateGitCredential({ id: credential.id, username: at.username, password: at.password });
  const made = await t.commit(repo, { x: 'x' });
  assert.notEqual(made.refUpdate.oldSha, zeros);
  // Deleting it here takes nothing away there.
  await t.storage.deleteRepo({ id: repo.id });
  assert.equal((await at.refs())['refs/heads/main'], made.commitSha);
});
