// Reads a filled repository by every reading call of the published SDK. It
// reads the private key of the organisation from standard input, the origin of
// the server from the environment, and ends with an error at the first surprise.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { GitStorage } from '@pierre/storage';

const storage = new GitStorage({
  name: 'acme',
  key: readFileSync(0, 'utf8'),
  apiBaseUrl: process.env.HEADWATER_ORIGIN,
  storageBaseUrl: new URL(process.env.HEADWATER_ORIGIN).host,
});
const repo = await storage.findOne({ id: 'team/app' });
const failsWith = (status) => (err) => err.status === status || assert.fail(err);

// Pages of a listing, to the end.
async function all(list, items) {
  const found = [];
  let cursor;
  do {
    const page = await list(cursor);
    found.push(...items(page));
    assert.equal(page.hasMore, page.nextCursor !== undefined);
    cursor = page.nextCursor;
  } while (cursor);
  return found;
}

const files = ['README.md', 'big.txt', 'conflict.txt', 'src/app.ts', 'src/lib/util.go', 'with space & \u00fc.txt'];
const whole = await repo.listFiles();
assert.deepEqual(whole.paths, files);
assert.equal(whole.ref, 'main');
assert.deepEqual(whole.entries[0], { path: 'README.md', type: 'blob', mode: '100644' });
assert.deepEqual(await all((cursor) => repo.listFiles({ limit: 2, cursor }), (p) => p.paths), files);
const top = await repo.listFiles({ recursive: false, path: 'src', ref: 'v1.0.0' });
assert.deepEqual(top.entries.map((e) => [e.path, e.type]), [['src/app.ts', 'blob'], ['src/lib', 'tree']]);
await assert.rejects(repo.listFiles({ ref: 'nope' }), failsWith(404));
await assert.rejects(repo.listFiles({ path: '../x' }), failsWith(400));
await assert.rejects((await storage.findOne({ id: 'empty' })).listFiles(), failsWith(404));
await assert.rejects((await storage.findOne({ id: 'syncing' })).listFiles(), failsWith(409));

const metadata = await repo.listFilesWithMetadata();
assert.deepEqual(metadata.files.map((f) => f.path), files);
assert.equal(metadata.files[0].size, 18);
const last = metadata.commits[metadata.files[0].lastCommitSha];
assert.equal(last.author, 'Ann');
assert.equal(last.message, 'second');
assert.equal(last.date.getTime(), 1700000300000);
assert.equal((await all((cursor) => repo.listFilesWithMetadata({ limit: 4, cursor }), (p) => p.files)).length, 6);

const file = await repo.getFileStream({ path: 'README.md' });
assert.equal(await file.text(), 'hello\nbrave\nworld\n');
const part = await repo.getFileStream({ path: 'README.md', headers: { range: 'bytes=6-10' } });
assert.equal(part.status, 206);
assert.equal(await part.text(), 'brave');
const etag = file.headers.get('etag');
assert.equal((await repo.getFileStream({ path: 'README.md', headers: { ifNoneMatch: etag } })).status, 304);
assert.equal((await repo.getFileStream({ path: 'README.md', headers: { ifMatch: '"x"' } })).status, 412);
assert.equal((await repo.getFileStream({ path: 'README.md', headers: { range: 'bytes=99-' } })).status, 416);
const head = await repo.headFile({ path: 'with space & \u00fc.txt' });
assert.equal(head.size, 4);
assert.equal(head.blobSha.length, 40);
assert.equal(head.lastCommitSha, metadata.files[5].lastCommitSha);
assert.equal(head.lastModified.getTime(), 1700000300000);
const scratch = await repo.getFileStream({ path: 'scratch.txt', ref: 'scratch', ephemeral: true });
assert.equal(await scratch.text(), 'ephemeral\n');
await assert.rejects(repo.getFileStream({ path: 'nope' }), failsWith(404));

const archive = await repo.getArchiveStream();
assert.match(gunzipSync(Buffer.from(await archive.arrayBuffer())).toString('latin1'), /src\/lib\/util\.go/);
const some = await repo.getArchiveStream({ ref: 'feature', includeGlobs: ['src/**'], excludeGlobs: ['*.go'], maxBlobSize: 1000, archivePrefix: 'app/' });
const tar = gunzipSync(Buffer.from(await some.arrayBuffer())).toString('latin1');
assert.match(tar, /app\/src\/app\.ts/);
assert.doesNotMatch(tar, /util\.go/);

assert.deepEqual(await all((cursor) => repo.listBranches({ limit: 3, cursor }), (p) => p.branches.map((b) => b.name)), ['feature', 'main', 'signed', 'theirs']);
assert.deepEqual((await repo.listBranches({ ephemeral: true })).branches.map((b) => b.name), ['scratch']);
assert.deepEqual(await all((cursor) => repo.listTags({ limit: 1, cursor }), (p) => p.tags.map((t) => t.name)), ['v1.0.0', 'v2.0.0']);

const commits = await all((cursor) => repo.listCommits({ limit: 1, cursor }), (p) => p.commits);
assert.deepEqual(commits.map((c) => c.message), ['second', 'first\n\nwith a body']);
assert.deepEqual(commits[0].parentShas, [commits[1].sha]);
assert.equal(commits[0].date.getTime(), 1700000300000);
assert.equal((await repo.listCommits({ branch: 'feature', path: 'feature.txt' })).commits.length, 1);
assert.equal((await repo.listCommits({ branch: 'scratch', ephemeral: true })).commits.length, 3);
const { commit } = await repo.getCommit({ sha: 'signed' });
assert.match(commit.signature, /^-----BEGIN SSH SIGNATURE-----\n/);
assert.match(commit.payload, /^tree [0-9a-f]{40}\nauthor A/);
await assert.rejects(repo.getCommit({ sha: '0'.repeat(40) }), failsWith(404));

const branchDiff = await repo.getBranchDiff({ branch: 'feature' });
assert.equal(branchDiff.mergeBaseSha, commits[1].sha);
assert.deepEqual(branchDiff.files.map((f) => [f.path, f.state]), [['feature.txt', 'added'], ['src/app.ts', 'modified']]);
assert.deepEqual(branchDiff.filteredFiles.map((f) => f.path), ['bin.dat']);
const ephemeralDiff = await repo.getBranchDiff({ branch: 'scratch', base: 'main', ephemeral: true, ephemeralBase: false, paths: ['scratch.txt', 'src'] });
assert.deepEqual(ephemeralDiff.files.map((f) => f.path), ['scratch.txt']);
const feature = (await repo.listBranches()).branches[0].headSha;
const loose = await repo.getCommitDiff({ sha: feature });
assert.deepEqual(loose.stats, { files: 3, additions: 2, deletions: 1, changes: 3 });
const exact = await repo.getCommitDiff({ sha: feature, baseSha: commits[0].sha, gitApplyCompatible: true, paths: ['README.md'] });
assert.match(exact.files[0].raw, /^diff --git a\/README\.md b\/README\.md\n/);
assert.match(exact.files[0].raw, /\n-brave\n/);

const blame = await repo.getBlame({ path: 'README.md', ranges: ['1,2', '3,+1'], detectMoves: true });
assert.deepEqual(blame.lines.map((l) => l.summary), ['first', 'second', 'first']);
assert.equal(blame.lines[1].previousCommitSha, commits[1].sha);
assert.equal(blame.lines[0].authorTime.getTime(), 1700000000000);
await assert.rejects(repo.getBlame({ path: 'nope' }), failsWith(404));

const grep = await repo.grep({ query: { pattern: 'HELLO|const [ab]', caseSensitive: false }, context: { after: 1 } });
assert.deepEqual(grep.matches.map((m) => m.path), ['README.md', 'src/app.ts']);
assert.deepEqual(grep.matches[0].lines, [
  { lineNumber: 1, text: 'hello', type: 'match' },
  { lineNumber: 2, text: 'brave', type: 'context' },
]);
assert.equal(grep.repo.commit, commits[0].sha);
const found = await all(
  (cursor) => repo.grep({ rev: 'main', query: { pattern: '.' }, fileFilters: { extensionFilters: ['ts', '.go'] }, limits: { maxLines: 1 }, pagination: { cursor, limit: 5 } }),
  (p) => p.matches.flatMap((m) => m.lines)
);
assert.equal(found.length, 3);
await assert.rejects(repo.grep({ query: { pattern: '(' } }), failsWith(400));

const note = await repo.getNote({ sha: commits[0].sha });
assert.equal(note.note, 'a note\n');
assert.equal((await repo.getNote({ sha: commits[0].sha, ref: 'reviews' })).note, 'looks good\n');
await assert.rejects(repo.getNote({ sha: commits[1].sha }), failsWith(404));
const refs = await all((cursor) => repo.listNotesRefs({ limit: 1, cursor }), (p) => p.refs.map((r) => r.ref));
assert.deepEqual(refs, ['refs/notes/commits', 'refs/notes/reviews']);
assert.equal((await repo.listNotesRefs({ prefix: 'rev' })).prefix, 'refs/notes/rev');

const clean = await repo.previewMerge({ sourceBranch: 'feature', targetBranch: 'main' });
assert.deepEqual([clean.status, clean.result, clean.conflictPaths], ['clean', 'merge_commit', []]);
const conflict = await repo.previewMerge({ sourceBranch: 'theirs', targetBranch: 'main', includeContent: true });
assert.equal(conflict.status, 'conflicted');
assert.equal(conflict.conflicts[0].ours.content, 'ours\n');
assert.match(conflict.conflicts[0].result.content, /^<<<<<<< /);
