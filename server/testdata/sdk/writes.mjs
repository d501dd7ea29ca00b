// Walks through every writing call of the published SDK, each with its success
// and its documented failures. It reads the private key of the organisation
// from standard input and ends with an error at the first surprise. With
// UPSTREAM_HOST in the environment the repository is a synced one.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { ApiError, GitStorage, RefUpdateError } from '@pierre/storage';

const env = process.env;
const storage = new GitStorage({
  name: env.HEADWATER_ORG,
  key: readFileSync(0, 'utf8'),
  apiBaseUrl: env.HEADWATER_ORIGIN,
  storageBaseUrl: new URL(env.HEADWATER_ORIGIN).host,
});
const author = { name: 'Ada', email: 'ada@example.test' };
const zeros = '0'.repeat(40);
const refused = (reason) => (err) => {
  assert.ok(err instanceof RefUpdateError, `${err}`);
  assert.equal(err.reason, reason, err.message);
  return true;
};
const status = (code) => (err) => {
  assert.ok(err instanceof ApiError, `${err}`);
  assert.equal(err.status, code, err.message);
  return true;
};

let repo;
if (env.UPSTREAM_HOST) {
  const [owner, name] = env.UPSTREAM_PATH.split('/');
  repo = await storage.createRepo({
    id: env.HEADWATER_REPO,
    baseRepo: { provider: 'gitea', owner, name, upstreamHost: env.UPSTREAM_HOST },
  });
  await storage.createGitCredential({ repoId: repo.id, username: env.UPSTREAM_USER, password: env.UPSTREAM_SECRET });
  await repo.pullUpstream();
} else {
  repo = await storage.createRepo({ id: env.HEADWATER_REPO });
}

// createCommit: while the first sync runs, the answer is 409.
const begin = () =>
  repo
    .createCommit({ targetBranch: 'main', commitMessage: 'first', author })
    .addFileFromString('README.md', 'hello\n')
    .addFileFromString('src/a.txt', '1\n2\n3\n')
    .addFile('bin/run', new Blob(['#!/bin/sh\n']), { mode: '100755' })
    .addFile('empty', new Uint8Array())
    .send();
let first;
for (let i = 0; !first; i++) {
  try {
    first = await begin();
  } catch (err) {
    if (!(err instanceof RefUpdateError) || err.reason !== 'unavailable' || i > 100) throw err;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
assert.equal(first.targetBranch, 'main');
assert.equal(first.blobCount, 4);
assert.ok(first.packBytes > 0);
assert.deepEqual(first.refUpdate, { branch: 'main', oldSha: zeros, newSha: first.commitSha });

async function* mebibytes(n) {
  for (let i = 0; i < n; i++) yield new Uint8Array(1 << 20).fill(i);
}
const second = await repo
  .createCommit({ targetBranch: 'main', expectedHeadSha: first.commitSha, commitMessage: 'second', author, committer: { name: 'Bob', email: 'b@example.test' } })
  .addFile('large.bin', mebibytes(10))
  .addFileFromString('/src/a.txt', '1\n2\nthree\n')
  .deletePath('empty')
  .deletePath('bin')
  .send();
assert.equal(second.refUpdate.oldSha, first.commitSha);

const commit = (options) =>
  repo.createCommit({ targetBranch: 'main', commitMessage: 'x', author, ...options }).addFileFromString('x', String(Math.random()));
await assert.rejects(commit({ expectedHeadSha: first.commitSha }).send(), refused('precondition_failed'));
await assert.rejects(commit({ targetBranch: 'nope' }).send(), refused('not_found'));
await assert.rejects(commit({}).addFileFromString('.git/hooks/x', 'x').send(), refused('invalid'));
await assert.rejects(commit({}).deletePath('nothing-here').send(), refused('invalid'));
await assert.rejects(commit({ refPolicies: [{ pattern: 'main', ops: ['no-push'] }] }).send(), refused('forbidden'));
const racers = await Promise.allSettled([1, 2, 3, 4].map(() => commit({ targetBranch: 'race', baseBranch: 'main', expectedHeadSha: zeros }).send()));
assert.equal(racers.filter((r) => r.status === 'fulfilled').length, 1);
for (const r of racers) if (r.status === 'rejected') refused('precondition_failed')(r.reason);
await Promise.all([1, 2, 3].map((i) => repo.createCommit({ targetBranch: 'race', commitMessage: `${i}`, author }).addFileFromString(`f${i}`, 'x').send()));

// createCommitFromDiff.
const diff = '--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1,3 +1,3 @@\n-1\n+one\n 2\n three\n';
const fromDiff = (options) => repo.createCommitFromDiff({ targetBranch: 'main', commitMessage: 'diff', author, diff, ...options });
const third = await fromDiff({ expectedHeadSha: second.commitSha });
assert.equal(third.refUpdate.oldSha, second.commitSha);
await assert.rejects(fromDiff({}), refused('conflict'));
await assert.rejects(fromDiff({ diff: 'nonsense\n' }), refused('invalid'));
await assert.rejects(fromDiff({ expectedHeadSha: first.commitSha }), refused('precondition_failed'));

// restoreCommit.
const restored = await repo.restoreCommit({ targetBranch: 'main', targetCommitSha: first.commitSha, author, expectedHeadSha: third.commitSha });
assert.equal(restored.treeSha, first.treeSha);
assert.equal(restored.refUpdate.oldSha, third.commitSha);
const restore = (options) => repo.restoreCommit({ targetBranch: 'main', targetCommitSha: second.commitSha, author, ...options });
await assert.rejects(restore({ expectedHeadSha: first.commitSha }), refused('precondition_failed'));
await assert.rejects(restore({ targetCommitSha: '1'.repeat(40) }), refused('not_found'));
await assert.rejects(restore({ refPolicies: [{ pattern: '*', ops: ['no-push'] }] }), refused('forbidden'));

// Branches, ephemeral ones and their promotion.
const branch = await repo.createBranch({ targetBranch: 'side', baseBranch: 'main' });
assert.deepEqual(branch, { message: 'branch created', targetBranch: 'side', targetIsEphemeral: false, commitSha: restored.commitSha });
await assert.rejects(repo.createBranch({ targetBranch: 'side', baseRef: first.commitSha }), status(409));
await assert.rejects(repo.createBranch({ targetBranch: 'other', baseRef: 'nope' }), status(404));
await repo.deleteBranch({ name: 'side' });
assert.equal((await repo.createBranch({ targetBranch: 'side', baseRef: first.commitSha })).commitSha, first.commitSha);
const ephemeral = await repo
  .createCommit({ targetBranch: 'draft', ephemeral: true, baseBranch: 'main', commitMessage: 'draft', author })
  .addFileFromString('draft', '1')
  .send();
assert.equal((await repo.createBranch({ targetBranch: 'promoted', baseBranch: 'draft', baseIsEphemeral: true })).commitSha, ephemeral.commitSha);
assert.equal((await repo.deleteBranch({ name: 'draft', ephemeral: true })).ephemeral, true);
assert.equal((await repo.deleteBranch({ name: 'promoted' })).message, 'branch deleted');
await assert.rejects(repo.deleteBranch({ name: 'promoted' }), status(404));
await assert.rejects(repo.deleteBranch({ name: 'main' }), status(409));

// Merges.
const side = await repo.createCommit({ targetBranch: 'side', commitMessage: 'side', author }).addFileFromString('side', '1').send();
await assert.rejects(repo.merge({ sourceBranch: 'side', targetBranch: 'main', strategy: 'ff_only' }), status(409));
await assert.rejects(repo.merge({ sourceBranch: 'side', targetBranch: 'main', strategy: 'merge' }), status(400));
await assert.rejects(repo.merge({ sourceBranch: 'nope', targetBranch: 'main', strategy: 'merge' }), status(404));
const message = { commitMessage: 'merge', author };
await assert.rejects(
  repo.merge({ sourceBranch: 'side', targetBranch: 'main', strategy: 'merge', expectedTargetSha: first.commitSha, ...message }),
  (err) => status(409)(err) && err.body.conflict_type === 'target_moved'
);
const merged = await repo.merge({ sourceBranch: 'side', targetBranch: 'main', strategy: 'merge', ...message });
assert.equal(merged.result, 'merge_commit');
assert.equal(merged.source.sha, side.commitSha);
assert.equal(merged.target.newSha, merged.commitSha);
assert.equal(merged.mergeBaseSha, first.commitSha);
assert.equal(merged.promotedCommits, 1);
assert.equal((await repo.merge({ sourceBranch: 'main', targetBranch: 'side', strategy: 'ff_only' })).result, 'fast_forward');
assert.equal((await repo.merge({ sourceBranch: 'main', targetBranch: 'side', strategy: 'ff_prefer' })).result, 'no_op');
for (const [name, text] of [['ours', 'ours\n'], ['theirs', 'theirs\n']]) {
  await repo.createCommit({ targetBranch: name, baseBranch: 'main', commitMessage: name, author }).addFileFromString('README.md', text).send();
}
await assert.rejects(
  repo.merge({ sourceBranch: 'theirs', targetBranch: 'ours', strategy: 'merge', ...message }),
  (err) => status(409)(err) && err.body.conflict_type === 'merge_conflict' && err.body.conflict_paths.join() === 'README.md'
);
assert.equal((await repo.merge({ sourceBranch: 'ours', targetBranch: 'side', strategy: 'ff_prefer', squash: true, ...message })).result, 'squash');

// Tags.
assert.deepEqual(await repo.createTag({ name: 'v1', target: first.commitSha }), { name: 'v1', sha: first.commitSha, message: 'tag created' });
await assert.rejects(repo.createTag({ name: 'v1', target: first.commitSha }), status(409));
await assert.rejects(repo.createTag({ name: 'v2', target: 'main' }), status(400));
await assert.rejects(repo.createTag({ name: 'v2', target: '1'.repeat(40) }), status(404));
await repo.createTag({ name: 'v0', target: first.commitSha });
assert.deepEqual(await repo.deleteTag({ name: 'v0' }), { name: 'v0', message: 'tag deleted' });
await assert.rejects(repo.deleteTag({ name: 'v0' }), status(404));

// Notes.
const sha = first.commitSha;
const note = await repo.createNote({ sha, note: 'one', author });
assert.equal(note.targetRef, 'refs/notes/commits');
assert.equal(note.baseCommit, undefined);
await assert.rejects(repo.createNote({ sha, note: 'again' }), refused('conflict'));
const appended = await repo.appendNote({ sha, note: 'two', expectedRefSha: note.newRefSha });
assert.equal(appended.baseCommit, note.newRefSha);
await assert.rejects(repo.appendNote({ sha, note: 'x', expectedRefSha: note.newRefSha }), refused('precondition_failed'));
await repo.createNote({ sha, note: 'review', ref: 'reviews' });
assert.equal((await repo.deleteNote({ sha, expectedRefSha: appended.newRefSha })).result.success, true);
await assert.rejects(repo.deleteNote({ sha }), refused('not_found'));
await repo.createNote({ sha, note: 'last' });

// A fork.
const fork = await storage.createRepo({ id: 'team/fork', baseRepo: { id: repo.id, ref: 'side' } });
assert.equal((await fork.createBranch({ targetBranch: 'check', baseRef: 'main' })).commitSha, (await repo.createBranch({ targetBranch: 'check', baseRef: 'side' })).commitSha);
