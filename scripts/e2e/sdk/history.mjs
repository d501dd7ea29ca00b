// Scenarios of reading history: commits and diffs.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apiError, author, hex40, pages, scenario } from './harness.mjs';

scenario('listing commits', async (t) => {
  const repo = await t.seeded({ 'a.txt': '0' });
  const shas = [repo.first.commitSha];
  for (let i = 1; i <= 4; i++) shas.unshift((await t.commit(repo, { [i % 2 ? 'a.txt' : 'b.txt']: `${i}` }, { commitMessage: `Change ${i}` })).commitSha);
  for (const limit of [1, 2, 5, undefined]) {
    const listed = await pages((o) => repo.listCommits(o), 'commits', { limit });
    assert.deepEqual(listed.map((c) => c.sha), shas);
  }
  const { commits } = await repo.listCommits({ limit: 1 });
  const { sha, parentShas, message, authorName, authorEmail, committerName, committerEmail, date } = commits[0];
  assert.deepEqual([sha, parentShas, message.trim(), authorName, authorEmail, committerName, committerEmail],
    [shas[0], [shas[1]], 'Change 4', author.name, author.email, author.name, author.email]);
  assert.ok(Math.abs(date - Date.now()) < 600_000);
  const touching = await pages((o) => repo.listCommits(o), 'commits', { path: 'b.txt', limit: 1 });
  assert.deepEqual(touching.map((c) => c.sha), [shas[0], shas[2]]);
  assert.deepEqual((await repo.listCommits({ branch: shas[3] })).commits.map((c) => c.sha), shas.slice(3));
  await apiError(repo.listCommits({ branch: 'absent' }), 404);
  await apiError(repo.listCommits({ cursor: 'nonsense' }), 400);

  for (const name of ['main', 'refs/heads/main', shas[0], shas[0].slice(0, 10), 'HEAD']) {
    assert.equal((await repo.getCommit({ sha: name })).commit.sha, shas[0], name);
  }
  assert.equal((await repo.getCommit({ sha: 'main~4' })).commit.sha, shas[4]);
  const { commit } = await repo.getCommit({ sha: 'main' });
  assert.equal('signature' in commit, false);
  await apiError(repo.getCommit({ sha: '1'.repeat(40) }), 404);
  await apiError(repo.getCommit({ sha: 'main:a.txt' }), 400);
  await apiError(repo.getCommit({ sha: '@{u}' }), 400);
});

scenario('signed commits', async (t) => {
  const repo = await t.seeded();
  await t.git('clone', '--quiet', await repo.getRemoteURL(), 'work');
  const tree = await t.git('-C', 'work', 'rev-parse', 'HEAD^{tree}');
  const signature = '-----BEGIN SSH SIGNATURE-----\nU1NIU0lHAAAAAQ==\n\nnot a real one\n-----END SSH SIGNATURE-----';
  const head = `tree ${tree}\nparent ${repo.first.commitSha}\nauthor A <a@example.test> 1700000000 +0200\ncommitter A <a@example.test> 1700000000 +0200\n`;
  const body = '\nSigned\n';
  writeFileSync(join(t.folder, 'signed'), `${head}gpgsig ${signature.replaceAll('\n', '\n ')}\n${body}`);
  const sha = await t.git('-C', 'work', 'hash-object', '-t', 'commit', '-w', '../signed');
  await t.git('-C', 'work', 'push', '--quiet', 'origin', `${sha}:refs/heads/signed`);
  const { commit } = await repo.getCommit({ sha: 'signed' });
  assert.equal(commit.sha, sha);
  assert.equal(commit.signature.trim(), signature);
  assert.equal(commit.payload, head + body);
  assert.equal(commit.rawDate, '2023-11-15T00:13:20+02:00');
});

scenario('commit diffs', async (t) => {
  const lines = Array.from({ length: 20 }, (_, i) => `line ${i}`).join('\n') + '\n';
  const repo = await t.seeded({ 'a.txt': 'one\ntwo\n', 'move.txt': lines, 'gone.txt': 'x\n', 'space.txt': 'a b\n' });
  const second = await repo.createCommit({ targetBranch: 'main', commitMessage: 'Much', author })
    .addFileFromString('a.txt', 'one\n2\n').deletePath('move.txt').addFileFromString('moved.txt', lines).deletePath('gone.txt')
    .addFileFromString('new.txt', 'n\n').addFile('image.bin', new Uint8Array([0, 1, 2, 255])).addFileFromString('space.txt', 'a    b\n')
    .addFileFromString('large.txt', 'x\n'.repeat(300_000)).send();
  const diff = await repo.getCommitDiff({ sha: second.commitSha });
  assert.equal(diff.sha, second.commitSha);
  const files = Object.fromEntries(diff.files.map((f) => [f.path, f]));
  assert.deepEqual(Object.fromEntries(diff.files.map((f) => [f.path, f.state])),
    { 'a.txt': 'modified', 'gone.txt': 'deleted', 'moved.txt': 'renamed', 'new.txt': 'added' });
  assert.equal(files['moved.txt'].oldPath, 'move.txt');
  assert.match(files['moved.txt'].rawState, /^R/);
  assert.deepEqual([files['a.txt'].additions, files['a.txt'].deletions, files['a.txt'].isEof], [1, 1, true]);
  assert.match(files['a.txt'].raw, /^-two\n\+2$/m);
  assert.equal(files['a.txt'].bytes, Buffer.byteLength(files['a.txt'].raw));
  assert.deepEqual(diff.filteredFiles.map((f) => [f.path, f.state]).sort(), [['image.bin', 'added'], ['large.txt', 'added']]);
  assert.equal(diff.stats.changes, diff.stats.additions + diff.stats.deletions);
  assert.ok(diff.stats.files >= 6);
  assert.deepEqual((await repo.getCommitDiff({ sha: 'main', paths: ['a.txt', 'new.txt'] })).files.map((f) => f.path), ['a.txt', 'new.txt']);

  const root = await repo.getCommitDiff({ sha: repo.first.commitSha });
  assert.deepEqual(root.files.map((f) => f.state), Array(4).fill('added'));
  const back = await repo.getCommitDiff({ sha: repo.first.commitSha, baseSha: second.commitSha, paths: ['a.txt'] });
  assert.match(back.files[0].raw, /^-2\n\+two$/m);
  await apiError(repo.getCommitDiff({ sha: 'absent' }), 404);
  await apiError(repo.getCommitDiff({ sha: 'main', baseSha: 'absent' }), 404);

  // What is compatible with git apply turns the one tree into the other.
  const exact = await repo.getCommitDiff({ sha: 'main', gitApplyCompatible: true, paths: ['a.txt', 'gone.txt', 'move.txt', 'moved.txt', 'new.txt', 'space.txt'] });
  assert.deepEqual(exact.filteredFiles, []);
  assert.ok(exact.files.some((f) => f.path === 'space.txt'));
  await t.git('clone', '--quiet', await repo.getRemoteURL(), 'work');
  await t.git('-C', 'work', 'checkout', '--quiet', '--detach', repo.first.commitSha);
  writeFileSync(join(t.folder, 'patch'), exact.files.map((f) => f.raw).join(''));
  await t.git('-C', 'work', 'apply', '--index', '../patch');
  assert.equal(await t.git('-C', 'work', 'diff', '--cached', '--stat', second.commitSha, '--', ':!image.bin', ':!large.txt'), '');
});

scenario('branch diffs', async (t) => {
  const repo = await t.seeded();
  const topic = await t.commit(repo, { 'topic.txt': 't\n' }, { targetBranch: 'topic', baseBranch: 'main' });
  await t.commit(repo, { 'main.txt': 'm\n' });
  const diff = await repo.getBranchDiff({ branch: 'topic' });
  assert.deepEqual([diff.branch, diff.base, diff.mergeBaseSha], ['topic', 'main', repo.first.commitSha]);
  assert.deepEqual(diff.files.map((f) => [f.path, f.state]), [['topic.txt', 'added']]); // not what main did meanwhile
  assert.deepEqual(diff.stats, { files: 1, additions: 1, deletions: 0, changes: 1 });
  assert.deepEqual((await repo.getBranchDiff({ branch: 'main', base: 'topic' })).files.map((f) => f.path), ['main.txt']);
  assert.deepEqual((await repo.getBranchDiff({ branch: 'topic', paths: ['src'] })).files, []);
  await apiError(repo.getBranchDiff({ branch: 'absent' }), 404);
  await apiError(repo.getBranchDiff({ branch: 'topic', base: 'absent' }), 404);

  // A draft against the branch that it began at, and the other way around.
  await t.commit(repo, { 'draft.txt': 'd\n' }, { targetBranch: 'draft', baseBranch: 'topic', ephemeral: true });
  const draft = await repo.getBranchDiff({ branch: 'draft', base: 'topic', ephemeral: true });
  assert.deepEqual([draft.mergeBaseSha, draft.files.map((f) => f.path)], [topic.commitSha, ['draft.txt']]);
  const reverse = await repo.getBranchDiff({ branch: 'main', base: 'draft', ephemeralBase: true });
  assert.deepEqual(reverse.files.map((f) => f.path), ['main.txt']);
  await apiError(repo.getBranchDiff({ branch: 'draft', base: 'topic' }), 404);
  assert.match(topic.commitSha, hex40);
});
