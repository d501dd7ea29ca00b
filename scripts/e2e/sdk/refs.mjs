// Scenarios of branches, tags and merges.
import assert from 'node:assert/strict';
import { apiError, author, committer, env, hex40, pages, scenario, textOf, unchecked } from './harness.mjs';

scenario('branches', async (t) => {
  const repo = await t.seeded();
  const { commitSha: first } = repo.first;
  const made = await repo.createBranch({ baseBranch: 'main', targetBranch: 'feature/a' });
  assert.deepEqual(made, { message: made.message, targetBranch: 'feature/a', targetIsEphemeral: false, commitSha: first });
  assert.equal(made.message, 'branch created');
  const second = await t.commit(repo, { b: 'b' });
  for (const [baseRef, sha] of [['refs/heads/main', second.commitSha], [first, first], ['main~1', first]]) {
    assert.equal((await repo.createBranch({ baseRef, targetBranch: `from-${sha.slice(0, 4)}-${baseRef.length}` })).commitSha, sha);
  }
  // The same one again changes nothing; another one needs force, which this SDK has not.
  assert.equal((await repo.createBranch({ baseRef: first, targetBranch: 'feature/a' })).commitSha, first);
  await apiError(repo.createBranch({ baseBranch: 'main', targetBranch: 'feature/a' }), 409);
  await apiError(repo.createBranch({ baseBranch: 'absent', targetBranch: 'x' }), 404);
  await apiError(repo.createBranch({ baseBranch: 'main', targetBranch: 'a..b' }), 400);
  await apiError(unchecked(t.storage.repo({ id: 'sdk/no-such' })).createBranch({ baseBranch: 'main', targetBranch: 'x' }), 404);
  for (let i = 0; i < 4; i++) await repo.createBranch({ baseBranch: 'main', targetBranch: `many/${i}` });

  const names = ['feature/a', `from-${first.slice(0, 4)}-40`, `from-${first.slice(0, 4)}-6`, `from-${second.commitSha.slice(0, 4)}-15`, 'main', 'many/0', 'many/1', 'many/2', 'many/3'].sort();
  for (const limit of [1, 2, names.length, undefined]) {
    const listed = await pages((o) => repo.listBranches(o), 'branches', { limit });
    assert.deepEqual(listed.map((b) => b.name), names);
    for (const b of listed) {
      assert.match(b.headSha, hex40);
      assert.ok(b.cursor && Math.abs(Date.parse(b.createdAt) - Date.now()) < 600_000);
    }
  }
  // The cursor of an item is one of the listing.
  const { branches } = await repo.listBranches({ limit: 3 });
  assert.deepEqual((await repo.listBranches({ cursor: branches[1].cursor, limit: 1 })).branches[0].name, names[2]);
  await apiError(repo.listBranches({ cursor: '\u0000' }), 400);

  assert.deepEqual(await repo.deleteBranch({ name: 'many/0' }), { name: 'many/0', message: 'branch deleted', ephemeral: false });
  await apiError(repo.deleteBranch({ name: 'many/0' }), 404);
  await apiError(repo.deleteBranch({ name: 'main' }), 409, /default branch/);
  await apiError(repo.deleteBranch({ name: 'a..b' }), 400);
});

scenario('tags', async (t) => {
  const repo = await t.seeded();
  const { commitSha: first } = repo.first;
  assert.deepEqual(await repo.createTag({ name: 'v1', target: first }), { name: 'v1', sha: first, message: 'tag created' });
  await apiError(repo.createTag({ name: 'v1', target: first }), 409);
  await apiError(repo.createTag({ name: 'v2', target: 'main' }), 400); // the older field takes a full id only
  await apiError(repo.createTag({ name: 'v2', target: '1'.repeat(40) }), 404);
  await apiError(repo.createTag({ name: 'v..2', target: first }), 400);
  for (let i = 0; i < 4; i++) await repo.createTag({ name: `release/${i}`, target: first });
  const names = ['release/0', 'release/1', 'release/2', 'release/3', 'v1'];
  for (const limit of [1, 2, 5, undefined]) {
    const listed = await pages((o) => repo.listTags(o), 'tags', { limit });
    assert.deepEqual(listed.map((tag) => [tag.name, tag.sha]), names.map((name) => [name, first]));
  }
  assert.equal((await repo.getCommit({ sha: 'v1' })).commit.sha, first);
  assert.deepEqual(await repo.deleteTag({ name: 'release/0' }), { name: 'release/0', message: 'tag deleted' });
  await apiError(repo.deleteTag({ name: 'release/0' }), 404);

  // An annotated tag that somebody pushed shows the commit.
  await t.git('clone', '--quiet', await repo.getRemoteURL(), 'work');
  await t.git('-C', 'work', 'tag', '-a', '-m', 'Release', 'annotated');
  await t.git('-C', 'work', 'push', '--quiet', 'origin', 'annotated');
  const { tags } = await repo.listTags({ limit: 1 });
  assert.deepEqual([tags[0].name, tags[0].sha], ['annotated', first]);
  await unchecked(repo).deleteTag({ name: 'annotated' });
});

// diverged makes main and topic, each with a commit of its own.
async function diverged(t, ours, theirs, options) {
  const repo = await t.seeded(undefined, options);
  const topic = await t.commit(repo, theirs, { targetBranch: 'topic', baseBranch: 'main', commitMessage: 'Theirs' });
  const main = await t.commit(repo, ours, { commitMessage: 'Ours' });
  return { repo, topic: topic.commitSha, main: main.commitSha };
}

const message = { commitMessage: 'Merge it', author };

scenario('merges', async (t) => {
  const { repo, topic, main } = await diverged(t, { a: 'a' }, { b: 'b' });
  const preview = await repo.previewMerge({ sourceBranch: 'topic', targetBranch: 'main' });
  assert.deepEqual(preview, {
    status: 'clean', result: 'merge_commit', sourceBranch: 'topic', targetBranch: 'main', sourceTipSha: topic, targetTipSha: main,
    mergeBaseSha: repo.first.commitSha, conflictPaths: [], conflicts: [], filteredConflicts: [],
  });
  const ahead = await apiError(repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'ff_only' }), 409);
  assert.ok(ahead.body.conflict_type);
  await apiError(repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'merge' }), 400, /author/);
  const moved = await apiError(repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'merge', ...message, expectedTargetSha: topic }), 409);
  assert.equal(moved.body.conflict_type, 'target_moved');
  const merged = await repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'ff_prefer', ...message, committer, expectedTargetSha: main });
  assert.deepEqual(merged, {
    result: 'merge_commit', commitSha: merged.commitSha, treeSha: merged.treeSha, source: { branch: 'topic', ephemeral: false, sha: topic },
    target: { branch: 'main', ephemeral: false, oldSha: main, newSha: merged.commitSha }, mergeBaseSha: repo.first.commitSha, promotedCommits: 1,
  });
  const { commit } = await repo.getCommit({ sha: 'main' });
  assert.deepEqual([commit.sha, commit.parentShas, commit.message.trim(), commit.committerName], [merged.commitSha, [main, topic], 'Merge it', committer.name]);
  assert.deepEqual((await repo.listFiles()).paths, ['README.md', 'a', 'b', 'src/a.txt']);

  const again = await repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'merge', ...message });
  assert.deepEqual([again.result, again.target.oldSha, again.target.newSha], ['no_op', merged.commitSha, merged.commitSha]);
  assert.equal((await repo.previewMerge({ sourceBranch: 'topic', targetBranch: 'main' })).result, 'no_op');
  assert.equal((await repo.previewMerge({ sourceBranch: 'main', targetBranch: 'topic' })).result, 'fast_forward');
  const forward = await repo.merge({ sourceBranch: 'main', targetBranch: 'topic', strategy: 'ff_only' });
  assert.deepEqual([forward.result, forward.commitSha, forward.promotedCommits], ['fast_forward', merged.commitSha, 2]);

  await apiError(repo.merge({ sourceBranch: 'absent', targetBranch: 'main', strategy: 'merge', ...message }), 404);
  await apiError(repo.merge({ sourceBranch: 'topic', targetBranch: 'absent', strategy: 'merge', ...message }), 404);
  await apiError(repo.previewMerge({ sourceBranch: 'absent', targetBranch: 'main' }), 404);
});

scenario('squashes and forced merge commits', async (t) => {
  const repo = await t.seeded();
  for (const path of ['a', 'b']) await t.commit(repo, { [path]: path }, { targetBranch: 'topic', baseBranch: 'main' });
  const squashed = await repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'merge', squash: true, ...message });
  assert.deepEqual([squashed.result, squashed.promotedCommits], ['squash', 2]);
  assert.deepEqual((await repo.getCommit({ sha: 'main' })).commit.parentShas, [repo.first.commitSha]);
  await repo.createBranch({ baseRef: 'main~1', targetBranch: 'other' });
  // "merge" makes a commit, though the target could be moved.
  const forced = await repo.merge({ sourceBranch: 'topic', targetBranch: 'other', strategy: 'merge', squash: false, ...message });
  assert.equal(forced.result, 'merge_commit');
  assert.equal((await repo.getCommit({ sha: 'other' })).commit.parentShas.length, 2);
  await assert.rejects(repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'ff_only', squash: true }), /incompatible/);
});

scenario('merge conflicts', async (t) => {
  const { repo, topic, main } = await diverged(t, { 'src/a.txt': 'ours\n', c: 'same' }, { 'src/a.txt': 'theirs\n', d: 'x' });
  const clash = await apiError(repo.merge({ sourceBranch: 'topic', targetBranch: 'main', strategy: 'merge', ...message }), 409, /conflict/);
  assert.deepEqual([clash.body.conflict_type, clash.body.conflict_paths, clash.body.merge_base_sha], ['merge_conflict', ['src/a.txt'], repo.first.commitSha]);
  const preview = await repo.previewMerge({ sourceBranch: 'topic', targetBranch: 'main', includeContent: true });
  assert.deepEqual([preview.status, preview.sourceTipSha, preview.targetTipSha, preview.conflictPaths], ['conflicted', topic, main, ['src/a.txt']]);
  const [conflict] = preview.conflicts;
  assert.deepEqual([conflict.path, conflict.ours.content, conflict.theirs.content, conflict.base.content], ['src/a.txt', 'ours\n', 'theirs\n', 'one\ntwo\nthree\n']);
  assert.match(conflict.result.content, /^<{7}[^]*ours[^]*={7}[^]*theirs[^]*>{7}/);
  for (const blob of [conflict.result, conflict.base, conflict.ours, conflict.theirs]) assert.deepEqual([blob.truncated, blob.binary], [false, false]);
  const bare = await repo.previewMerge({ sourceBranch: 'topic', targetBranch: 'main' });
  assert.deepEqual([bare.status, bare.conflictPaths], ['conflicted', ['src/a.txt']]);
});

scenario('unrelated histories', async (t) => {
  const repo = await t.seeded();
  await t.git('init', '--quiet', 'work');
  await t.git('-C', 'work', 'commit', '--quiet', '--allow-empty', '-m', 'Elsewhere');
  await t.git('-C', 'work', 'push', '--quiet', await repo.getRemoteURL(), 'HEAD:refs/heads/elsewhere');
  const merge = { sourceBranch: 'elsewhere', targetBranch: 'main', strategy: 'merge', ...message };
  await apiError(repo.merge(merge), 409, /unrelated/);
  const merged = await repo.merge({ ...merge, allowUnrelatedHistories: true });
  assert.deepEqual([merged.result, merged.mergeBaseSha], ['merge_commit', undefined]);
  assert.equal(await textOf(repo, 'README.md'), '# Delta\n');
});

scenario('concurrent merges', async (t) => {
  const repo = await t.seeded();
  for (let i = 0; i < 4; i++) await t.commit(repo, { [`f-${i}`]: `${i}` }, { targetBranch: `topic-${i}`, baseBranch: 'main' });
  const free = unchecked(repo);
  const merge = (i, more) => free.merge({ sourceBranch: `topic-${i}`, targetBranch: 'main', strategy: 'merge', ...message, ...more });
  const guarded = await Promise.allSettled([0, 1].map((i) => merge(i, { expectedTargetSha: repo.first.commitSha })));
  assert.deepEqual(guarded.map((r) => r.status).sort(), ['fulfilled', 'rejected']);
  const lost = guarded.find((r) => r.status === 'rejected').reason;
  assert.deepEqual([lost.status, lost.body.conflict_type], [409, 'target_moved']);
  const done = await Promise.all([2, 3].map((i) => merge(i)));
  assert.deepEqual(done.map((m) => m.result), ['merge_commit', 'merge_commit']);
  assert.equal((await repo.listFiles()).paths.filter((p) => p.startsWith('f-')).length, 3);
});

scenario('ephemeral branches', async (t) => {
  const repo = await t.seeded();
  const { commitSha: first } = repo.first;
  // The same name in both namespaces.
  const made = await repo.createBranch({ baseBranch: 'main', targetBranch: 'main', targetIsEphemeral: true });
  assert.deepEqual([made.targetIsEphemeral, made.commitSha], [true, first]);
  const draft = await t.commit(repo, { 'draft.txt': 'draft\n', 'src/a.txt': 'one\n2\nthree\n' }, { ephemeral: true, commitMessage: 'Draft' });
  assert.deepEqual(draft.refUpdate, { branch: 'main', oldSha: first, newSha: draft.commitSha });
  assert.equal((await repo.getCommit({ sha: 'main' })).commit.sha, first);
  const second = await t.commit(repo, { more: 'x' }, { targetBranch: 'agent/1', baseBranch: 'main', ephemeral: true, ephemeralBase: true });
  assert.deepEqual((await repo.getCommit({ sha: second.commitSha })).commit.parentShas, [draft.commitSha]);
  const patch = '--- a/more\n+++ b/more\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+y\n';
  const third = await repo.createCommitFromDiff({ targetBranch: 'agent/2', baseBranch: 'agent/1', ephemeral: true, ephemeralBase: true, commitMessage: 'm', author, diff: patch });

  const listed = await pages((o) => repo.listBranches(o), 'branches', { ephemeral: true, limit: 1 });
  assert.deepEqual(listed.map((b) => [b.name, b.headSha]), [['agent/1', second.commitSha], ['agent/2', third.commitSha], ['main', draft.commitSha]]);
  assert.deepEqual((await repo.listBranches({ ephemeral: false })).branches.map((b) => b.name), ['main']);
  const ephemeral = { ephemeral: true, ref: 'main' };
  assert.deepEqual((await repo.listFiles(ephemeral)).paths, ['README.md', 'draft.txt', 'src/a.txt']);
  assert.equal((await repo.listFilesWithMetadata(ephemeral)).files[1].lastCommitSha, draft.commitSha);
  assert.equal(await textOf(repo, 'draft.txt', ephemeral), 'draft\n');
  assert.equal((await repo.headFile({ path: 'more', ref: 'agent/1', ephemeral: true })).size, 1);
  assert.equal((await repo.listCommits({ branch: 'main', ephemeral: true, path: 'draft.txt' })).commits[0].sha, draft.commitSha);
  assert.equal((await repo.getBlame({ path: 'src/a.txt', ref: 'main', ephemeral: true })).lines[1].commitSha, draft.commitSha);
  assert.equal((await repo.grep({ query: { pattern: 'draft' }, ...ephemeral })).repo.commit, draft.commitSha);
  await apiError(repo.listFiles({ ref: 'agent/1' }), 404);
  await apiError(repo.getFileStream({ path: 'draft.txt' }), 404);

  // Promotion: as a branch, and by a merge.
  assert.equal((await repo.createBranch({ baseBranch: 'agent/1', baseIsEphemeral: true, targetBranch: 'promoted' })).commitSha, second.commitSha);
  const merged = await repo.merge({ sourceBranch: 'agent/2', sourceIsEphemeral: true, targetBranch: 'main', strategy: 'ff_only' });
  assert.deepEqual([merged.source.ephemeral, merged.target.ephemeral, merged.target.newSha], [true, false, third.commitSha]);
  const inside = await repo.merge({ sourceBranch: 'main', targetBranch: 'main', targetIsEphemeral: true, strategy: 'ff_prefer' });
  assert.deepEqual([inside.result, inside.target.ephemeral], ['fast_forward', true]);

  assert.deepEqual(await repo.deleteBranch({ name: 'main', ephemeral: true }), { name: 'main', message: 'branch deleted', ephemeral: true });
  await apiError(repo.deleteBranch({ name: 'promoted', ephemeral: true }), 404);
  if (env.synced) assert.ok(Object.keys(await t.upstream(repo).refs()).every((ref) => !ref.includes('agent')));
});
