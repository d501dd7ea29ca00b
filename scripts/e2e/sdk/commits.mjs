// Scenarios of calls that make commits.
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { author, committer, hex40, pages, refsOf, assertUpstream, refused, scenario, textOf, unchecked, zeros } from './harness.mjs';

const base = { targetBranch: 'main', commitMessage: 'Change', author };

// tipOf returns where a branch is.
const tipOf = async (repo, sha = 'main') => (await repo.getCommit({ sha })).commit.sha;

scenario('commits from files', async (t) => {
  const repo = await t.empty();
  const made = await repo
    .createCommit({ ...base, commitMessage: ' Subject\n\nBody\n', committer })
    .addFileFromString('/README.md', '# Delta\n')
    .addFileFromString('latin', 'caf\u00e9', { encoding: 'latin1' })
    .addFileFromString('bin/run', '#!/bin/sh\n', { mode: '100755' })
    .addFileFromString('link', 'README.md', { mode: '120000' })
    .addFileFromString('module', '1'.repeat(40), { mode: '160000' })
    .addFile('empty', '')
    .addFile('bytes', new Uint8Array([0, 255, 10]))
    .addFile('buffer', new Uint8Array([1, 2]).buffer)
    .addFile('blob', new Blob(['from ', 'a blob']))
    .addFile('web stream', new Blob(['web']).stream())
    .addFile('iterable', ['a', new Uint8Array([98]), 'c'])
    .addFile('deep/er/\u00fcml\u00e4ut', (async function* () { yield 'x'; yield 'y'; })())
    .send();
  assert.match(made.commitSha, hex40);
  assert.match(made.treeSha, hex40);
  assert.equal(made.targetBranch, 'main');
  assert.ok(made.packBytes > 0);
  assert.equal(made.blobCount, 11); // a submodule has none
  assert.deepEqual(made.refUpdate, { branch: 'main', oldSha: zeros, newSha: made.commitSha });

  const { entries } = await repo.listFiles();
  const modes = Object.fromEntries(entries.map((e) => [e.path, `${e.type} ${e.mode}`]));
  assert.equal(modes['bin/run'], 'blob 100755');
  assert.equal(modes.link, 'symlink 120000');
  assert.equal(modes.module, 'submodule 160000');
  assert.equal(await textOf(repo, 'README.md'), '# Delta\n');
  assert.equal(await textOf(repo, 'blob'), 'from a blob');
  assert.equal(await textOf(repo, 'web stream'), 'web');
  assert.equal(await textOf(repo, 'iterable'), 'abc');
  assert.equal(await textOf(repo, 'deep/er/\u00fcml\u00e4ut'), 'xy');
  assert.equal(await textOf(repo, 'empty'), '');
  const raw = async (path) => Buffer.from(await (await repo.getFileStream({ path })).arrayBuffer()).toString('hex');
  assert.equal(await raw('latin'), '636166e9');
  assert.equal(await raw('bytes'), '00ff0a');

  const { commit } = await repo.getCommit({ sha: made.commitSha });
  assert.equal(commit.message.trim(), 'Subject\n\nBody');
  assert.deepEqual([commit.authorName, commit.authorEmail, commit.committerName], [author.name, author.email, committer.name]);
  assert.deepEqual(commit.parentShas, []);

  // A second one deletes a file and a folder, and puts a folder in a file's place.
  const next = await repo.createCommit(base).deletePath('bytes').deletePath('deep').deletePath('blob')
    .addFileFromString('blob/inside', 'x').send();
  assert.deepEqual(next.refUpdate, { branch: 'main', oldSha: made.commitSha, newSha: next.commitSha });
  const { paths } = await repo.listFiles();
  assert.ok(!paths.some((path) => path === 'bytes' || path.startsWith('deep')) && paths.includes('blob/inside'));
  assert.deepEqual((await repo.getCommit({ sha: 'main' })).commit.parentShas, [made.commitSha]);
});

scenario('commits on other branches', async (t) => {
  const repo = await t.seeded();
  const legacy = await repo.createCommit({ targetRef: 'refs/heads/main', commitMessage: 'm', author }).addFileFromString('l', 'l').send();
  assert.equal(legacy.targetBranch, 'main');
  const topic = await t.commit(repo, { topic: 'x' }, { targetBranch: 'feature/topic', baseBranch: 'main' });
  assert.deepEqual(topic.refUpdate, { branch: 'feature/topic', oldSha: zeros, newSha: topic.commitSha });
  assert.deepEqual((await repo.getCommit({ sha: 'feature/topic' })).commit.parentShas, [legacy.commitSha]);
  // The base of a branch that exists does not matter any more.
  const more = await t.commit(repo, { more: 'x' }, { targetBranch: 'feature/topic', baseBranch: 'main' });
  assert.equal(more.refUpdate.oldSha, topic.commitSha);

  await refused(t.commit(repo, { x: 'x' }, { targetBranch: 'absent' }), 'not_found', /absent/);
  await refused(t.commit(repo, { x: 'x' }, { targetBranch: 'new', baseBranch: 'absent' }), 'not_found', /absent/);
  await refused(t.commit(repo, { x: 'x' }, { targetBranch: 'feature' }), 'not_found');
  await refused(t.commit(unchecked(t.storage.repo({ id: 'sdk/no-such' })), { x: 'x' }), 'not_found');
  // "feature" cannot be a branch beside "feature/topic".
  const beside = t.commit(repo, { x: 'x' }, { targetBranch: 'feature', baseBranch: 'main' });
  assert.ok(['conflict', 'failed', 'invalid'].includes((await beside.catch((e) => e)).reason));
});

scenario('refused commits', async (t) => {
  const repo = await t.seeded();
  const add = (path, options) => repo.createCommit(base).addFileFromString(path, 'x', options).send();
  for (const path of ['../x', 'a/../b', './x', 'a//b', '.git/config', 'a/.GIT/x', 'git~1', 'a\u0000b', 'a\nb', '///x', 'x/']) {
    await refused(add(path), 'invalid', /path/);
  }
  await refused(add('x', { mode: '100600' }), 'invalid', /mode/);
  await refused(add('module', { mode: '160000' }), 'invalid');
  await refused(repo.createCommit(base).deletePath('absent').send(), 'invalid');
  await refused(repo.createCommit(base).send(), 'invalid');
  await refused(t.commit(repo, { 'README.md': '# Delta\n' }), 'invalid', /no changes/i);
  for (const targetBranch of ['-x', 'a..b', 'x.lock', 'a b', 'HEAD', '/x']) {
    await refused(repo.createCommit({ ...base, targetBranch, baseBranch: 'main' }).addFileFromString('x', 'x').send(), 'invalid');
  }
  await refused(t.commit(repo, { x: 'x' }, { author: { name: 'a<b', email: 'x\n@y' } }), 'invalid');
  await refused(t.commit(repo, { x: 'x' }, { expectedHeadSha: 'nonsense' }), 'invalid');

  // A client that leaves in the middle leaves nothing.
  const leave = new AbortController();
  const half = unchecked(repo).createCommit({ ...base, signal: leave.signal }).addFile('half', (async function* () {
    yield new Uint8Array(5 << 20);
    leave.abort();
    yield new Uint8Array(5 << 20);
  })()).send();
  await assert.rejects(half, { name: 'AbortError' });
  // A source that fails in the middle, too.
  await assert.rejects(unchecked(repo).createCommit(base).addFile('half', (async function* () {
    yield new Uint8Array(5 << 20);
    throw new Error('the disk is gone');
  })()).send());
  assert.deepEqual((await repo.listFiles()).paths.filter((path) => path === 'half'), []);
  const used = repo.createCommit(base).addFileFromString('u', 'u');
  await used.send();
  await assert.rejects(used.send(), /cannot be reused/);
});

scenario('guards', async (t) => {
  const repo = await t.seeded();
  const { commitSha: first } = repo.first;
  const second = await t.commit(repo, { b: 'b' }, { expectedHeadSha: first });
  const stale = await refused(t.commit(repo, { c: 'c' }, { expectedHeadSha: first }), 'precondition_failed', new RegExp(second.commitSha));
  assert.equal(stale.status, 'precondition_failed');
  assert.deepEqual(stale.refUpdate, { branch: 'main', oldSha: second.commitSha });
  await refused(t.commit(repo, { c: 'c' }, { targetBranch: 'new', baseBranch: 'main', expectedHeadSha: first }), 'precondition_failed');
  // Zeros: it must not exist.
  await refused(t.commit(repo, { c: 'c' }, { expectedHeadSha: zeros }), 'precondition_failed');
  await t.commit(repo, { c: 'c' }, { targetBranch: 'new', baseBranch: 'main', expectedHeadSha: zeros });
  const diff = '--- a/b\n+++ b/b\n@@ -1 +1 @@\n-b\n\\ No newline at end of file\n+bb\n';
  await refused(repo.createCommitFromDiff({ ...base, diff, expectedHeadSha: first }), 'precondition_failed');
  await refused(repo.restoreCommit({ ...base, targetCommitSha: first, expectedHeadSha: first }), 'precondition_failed');
  assert.equal(await tipOf(repo), second.commitSha);
});

scenario('concurrent commits', async (t) => {
  const repo = await t.seeded();
  const free = unchecked(repo);
  // With a guard exactly one wins.
  const guarded = await Promise.allSettled(
    Array.from({ length: 6 }, (_, i) => t.commit(free, { [`guarded-${i}`]: `${i}` }, { expectedHeadSha: repo.first.commitSha }))
  );
  const won = guarded.filter((r) => r.status === 'fulfilled');
  assert.equal(won.length, 1, JSON.stringify(guarded.map((r) => r.reason?.message)));
  for (const { reason } of guarded.filter((r) => r.status === 'rejected')) {
    assert.ok(['precondition_failed', 'conflict'].includes(reason.reason), reason.stack);
  }
  await assertUpstream(repo);
  // Without one all do, one after the other.
  const before = await tipOf(repo);
  const all = await Promise.all(Array.from({ length: 6 }, (_, i) => t.commit(free, { [`free-${i}`]: `${i}` })));
  const order = (await pages((o) => repo.listCommits(o), 'commits', { limit: 2 })).map((c) => c.sha);
  assert.equal(order.length, 8);
  assert.equal(order.indexOf(before), 6);
  assert.deepEqual(new Set(order.slice(0, 6)), new Set(all.map((c) => c.commitSha)));
  assert.deepEqual((await repo.listFiles()).paths.filter((p) => p.startsWith('free-')).length, 6);
  await assertUpstream(repo);
  // On different branches they do not meet.
  await Promise.all(Array.from({ length: 6 }, (_, i) => t.commit(free, { x: `${i}` }, { targetBranch: `branch-${i}`, baseBranch: 'main' })));
  const refs = await refsOf(repo);
  assert.equal(Object.keys(refs).length, 7);
  await assertUpstream(repo, refs);
  // Exactly one makes a branch.
  const makers = await Promise.allSettled(
    Array.from({ length: 4 }, (_, i) => t.commit(free, { y: `${i}` }, { targetBranch: 'one', baseBranch: 'main', expectedHeadSha: zeros }))
  );
  assert.equal(makers.filter((r) => r.status === 'fulfilled').length, 1);
  // Of deletes, too.
  const deletes = await Promise.allSettled(Array.from({ length: 3 }, () => free.deleteBranch({ name: 'one' })));
  assert.equal(deletes.filter((r) => r.status === 'fulfilled').length, 1);
  await assertUpstream(repo);
});

scenario('commits from diffs', async (t) => {
  const repo = await t.seeded();
  const change = '--- a/src/a.txt\n+++ b/src/a.txt\n@@ -1,3 +1,3 @@\n one\n-two\n+TWO\n three\n';
  const made = await repo.createCommitFromDiff({ ...base, diff: change, committer, commitMessage: 'Shout' });
  assert.match(made.treeSha, hex40);
  assert.deepEqual(made.refUpdate, { branch: 'main', oldSha: repo.first.commitSha, newSha: made.commitSha });
  assert.equal(await textOf(repo, 'src/a.txt'), 'one\nTWO\nthree\n');
  assert.equal((await repo.getCommit({ sha: 'main' })).commit.committerName, committer.name);

  const more = 'diff --git a/new b/new\nnew file mode 100755\nindex 0000000..587be6b\n--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n'
    + 'diff --git a/README.md b/docs/README.md\nsimilarity index 100%\nrename from README.md\nrename to docs/README.md\n';
  const streamed = (async function* () { for (const line of more.split(/(?<=\n)/)) yield line; })();
  await repo.createCommitFromDiff({ ...base, diff: streamed, targetBranch: 'patched', baseBranch: 'main' });
  const listed = (await repo.listFiles({ ref: 'patched' })).entries.map((e) => `${e.mode} ${e.path}`);
  assert.deepEqual(listed.filter((e) => !e.startsWith('040000')), ['100644 docs/README.md', '100755 new', '100644 src/a.txt']);

  await refused(repo.createCommitFromDiff({ ...base, diff: change }), 'conflict', /a\.txt/);
  await refused(repo.createCommitFromDiff({ ...base, diff: 'no diff at all' }), 'invalid');
  await refused(repo.createCommitFromDiff({ ...base, diff: '' }), 'invalid');
  await refused(repo.createCommitFromDiff({ ...base, diff: change, targetBranch: 'absent' }), 'not_found');
  await refused(repo.createCommitFromDiff({ ...base, diff: '--- a/../x\n+++ b/../x\n@@ -0,0 +1 @@\n+x\n' }), 'invalid');
  await refused(repo.createCommitFromDiff({ ...base, diff: '--- /dev/null\n+++ b/.git/hooks/x\n@@ -0,0 +1 @@\n+x\n' }), 'invalid');
});

scenario('restoring', async (t) => {
  const repo = await t.seeded();
  const second = await t.commit(repo, { 'src/a.txt': null, b: 'b' });
  const restored = await repo.restoreCommit({ ...base, commitMessage: 'Back', targetCommitSha: repo.first.commitSha, committer, expectedHeadSha: second.commitSha });
  assert.equal(restored.treeSha, repo.first.treeSha);
  assert.equal(restored.targetBranch, 'main');
  assert.deepEqual(restored.refUpdate, { branch: 'main', oldSha: second.commitSha, newSha: restored.commitSha });
  const { commit } = await repo.getCommit({ sha: 'main' });
  assert.deepEqual([commit.parentShas, commit.message.trim(), commit.committerName], [[second.commitSha], 'Back', committer.name]);
  const { commitMessage, ...silent } = base;
  const again = await repo.restoreCommit({ ...silent, targetCommitSha: second.commitSha });
  assert.ok((await repo.getCommit({ sha: again.commitSha })).commit.message.includes(second.commitSha.slice(0, 7)));

  await refused(repo.restoreCommit({ ...base, targetCommitSha: '1'.repeat(40) }), 'not_found');
  await refused(repo.restoreCommit({ ...base, targetCommitSha: again.commitSha }), 'invalid', /no changes/i);
  await refused(repo.restoreCommit({ ...base, targetBranch: 'absent', targetCommitSha: second.commitSha }), 'not_found');
  await refused(repo.restoreCommit({ ...base, targetCommitSha: 'a..b' }), 'invalid');
  await refused(unchecked(t.storage.repo({ id: 'sdk/no-such' })).restoreCommit({ ...base, targetCommitSha: second.commitSha }), 'not_found');
  // Restoring while others commit builds on what is there.
  const racing = unchecked(repo);
  await Promise.all([racing.restoreCommit({ ...base, targetCommitSha: repo.first.commitSha }), t.commit(racing, { c: 'c' })]);
  assert.equal((await repo.listCommits()).commits.length, 6);
  await assertUpstream(repo);
});
