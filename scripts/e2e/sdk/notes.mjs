// Scenarios of notes.
import assert from 'node:assert/strict';
import { apiError, author, hex40, pages, refused, scenario, unchecked } from './harness.mjs';

scenario('notes', async (t) => {
  const repo = await t.seeded();
  const { commitSha: sha } = repo.first;
  await apiError(repo.getNote({ sha }), 404);
  const added = await repo.createNote({ sha, note: ' Looks good \n', author });
  assert.deepEqual(added, { sha, targetRef: 'refs/notes/commits', baseCommit: undefined, newRefSha: added.newRefSha, result: { success: true, status: 'ok', message: undefined } });
  assert.match(added.newRefSha, hex40);
  const read = await repo.getNote({ sha });
  assert.deepEqual([read.sha, read.note.trim(), read.refSha], [sha, 'Looks good', added.newRefSha]);
  assert.equal((await refused(repo.createNote({ sha, note: 'again' }), 'conflict')).status, 'conflict');
  const appended = await repo.appendNote({ sha, note: 'And tested', expectedRefSha: added.newRefSha });
  assert.equal(appended.baseCommit, added.newRefSha);
  assert.equal((await repo.getNote({ sha })).note.trim(), 'Looks good\n\nAnd tested');
  const stale = await refused(repo.appendNote({ sha, note: 'x', expectedRefSha: added.newRefSha }), 'precondition_failed');
  assert.deepEqual(stale.refUpdate, { branch: 'refs/notes/commits', oldSha: appended.newRefSha });
  await refused(repo.deleteNote({ sha, expectedRefSha: added.newRefSha }), 'precondition_failed');
  const deleted = await repo.deleteNote({ sha, author, expectedRefSha: appended.newRefSha });
  assert.equal(deleted.result.status, 'ok');
  await apiError(repo.getNote({ sha }), 404);
  await refused(repo.deleteNote({ sha }), 'not_found');
  await refused(repo.createNote({ sha: '1'.repeat(40), note: 'x' }), 'not_found');
  await refused(unchecked(t.storage.repo({ id: 'sdk/no-such' })).createNote({ sha, note: 'x' }), 'not_found');
  await refused(repo.createNote({ sha, note: 'x', ref: 'refs/heads/main' }), 'invalid');
  // Appending to nothing adds.
  await repo.appendNote({ sha, note: 'New' });
  assert.equal((await repo.getNote({ sha })).note.trim(), 'New');

  // What git makes of them.
  await t.git('clone', '--quiet', await repo.getRemoteURL(), 'work');
  await t.git('-C', 'work', 'fetch', '--quiet', 'origin', 'refs/notes/*:refs/notes/*');
  assert.equal(await t.git('-C', 'work', 'notes', 'show', sha), 'New');
});

scenario('notes refs', async (t) => {
  const repo = await t.seeded();
  const { commitSha: sha } = repo.first;
  for (const ref of ['reviews', 'notes/ci/lint', 'refs/notes/ci/test', undefined]) {
    assert.match((await repo.createNote({ sha, note: `in ${ref}`, ref })).targetRef, /^refs\/notes\//);
  }
  assert.equal((await repo.getNote({ sha, ref: 'refs/notes/reviews' })).note.trim(), 'in reviews');
  const names = ['refs/notes/ci/lint', 'refs/notes/ci/test', 'refs/notes/commits', 'refs/notes/reviews'];
  for (const limit of [1, 3, undefined]) {
    const listed = await pages((o) => repo.listNotesRefs(o), 'refs', { limit });
    assert.deepEqual(listed.map((r) => r.ref), names);
    assert.ok(listed.every((r) => hex40.test(r.sha) && r.cursor));
  }
  const some = await repo.listNotesRefs({ prefix: 'ci/' });
  assert.deepEqual([some.prefix, some.refs.map((r) => r.ref)], ['refs/notes/ci/', names.slice(0, 2)]);
  await apiError(repo.listNotesRefs({ prefix: 'refs/heads/' }), 400);
  await apiError(repo.getNote({ sha, ref: 'absent' }), 404);

  // Many writers of one ref: nothing is lost.
  const free = unchecked(repo);
  await Promise.all(Array.from({ length: 5 }, (_, i) => free.appendNote({ sha, note: `line ${i}`, ref: 'busy' })));
  const lines = (await repo.getNote({ sha, ref: 'busy' })).note.split('\n').filter(Boolean).sort();
  assert.deepEqual(lines, [0, 1, 2, 3, 4].map((i) => `line ${i}`));
});
