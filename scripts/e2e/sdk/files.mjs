// Scenarios of reading files: listings, contents with ranges and conditions,
// archives, searches and blame.
import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { gunzipSync } from 'node:zlib';
import { apiError, author, hex40, pages, scenario, textOf, unchecked } from './harness.mjs';

scenario('listing files', async (t) => {
  const files = {};
  for (let i = 0; i < 12; i++) files[`dir-${i % 3}/file-${i}`] = `${i}`;
  files['a.b/x'] = files['a/x'] = files['a-b'] = 'order'; // a folder sorts as if it had a slash
  const repo = await t.seeded(files);
  const sorted = Object.keys(files).sort();
  const whole = await repo.listFiles();
  assert.deepEqual([...whole.paths].sort(), sorted);
  assert.deepEqual([whole.ref, whole.hasMore, whole.nextCursor], ['main', false, undefined]);
  const folders = whole.entries.filter((e) => e.type === 'tree');
  assert.ok(folders.every((e) => e.mode === '040000' && !e.path.endsWith('/')));
  for (const limit of [1, 4, 5000]) {
    assert.deepEqual(await pages((o) => repo.listFiles(o), 'entries', { limit }), whole.entries);
    assert.deepEqual(await pages((o) => repo.listFiles(o), 'paths', { limit }), whole.paths);
    const some = await pages((o) => repo.listFilesWithMetadata(o), 'files', { limit });
    assert.deepEqual(some.map((f) => f.path), whole.paths);
  }
  const flat = await repo.listFiles({ recursive: false });
  assert.deepEqual(flat.entries.map((e) => e.path).sort(), ['a', 'a-b', 'a.b', 'dir-0', 'dir-1', 'dir-2']);
  assert.deepEqual(flat.paths, ['a-b']);
  assert.deepEqual((await repo.listFiles({ path: 'dir-1' })).paths, ['dir-1/file-1', 'dir-1/file-10', 'dir-1/file-4', 'dir-1/file-7']);
  assert.deepEqual(await pages((o) => repo.listFiles(o), 'paths', { path: 'dir-1', recursive: false, limit: 1 }),
    ['dir-1/file-1', 'dir-1/file-10', 'dir-1/file-4', 'dir-1/file-7']);
  assert.equal((await repo.listFiles({ ref: repo.first.commitSha })).ref, repo.first.commitSha);
  await apiError(repo.listFiles({ ref: 'absent' }), 404);
  await apiError(repo.listFiles({ path: 'absent' }), 404);
  await apiError(repo.listFiles({ cursor: 'a\u0000' }), 400);
  await apiError(repo.listFiles({ ref: 'a..b' }), 400);
});

scenario('files with metadata', async (t) => {
  const repo = await t.seeded({ 'a.txt': 'a', 'b/c.txt': 'ccc' });
  const second = await t.commit(repo, { 'b/c.txt': 'cccc' }, { commitMessage: 'Second' });
  const listed = await repo.listFilesWithMetadata();
  assert.equal(listed.ref, 'main');
  assert.deepEqual(listed.files, [
    { path: 'a.txt', mode: '100644', size: 1, lastCommitSha: repo.first.commitSha, type: 'blob' },
    { path: 'b/c.txt', mode: '100644', size: 4, lastCommitSha: second.commitSha, type: 'blob' },
  ]);
  assert.deepEqual(Object.keys(listed.commits).sort(), [repo.first.commitSha, second.commitSha].sort());
  const { author: name, message, date } = listed.commits[second.commitSha];
  assert.deepEqual([name, message.trim()], [author.name, 'Second']);
  assert.ok(Math.abs(date - Date.now()) < 600_000);
  assert.deepEqual((await repo.listFilesWithMetadata({ path: 'b', ref: repo.first.commitSha })).files.map((f) => f.lastCommitSha), [repo.first.commitSha]);
  await apiError(repo.listFilesWithMetadata({ ref: 'absent' }), 404);
});

scenario('file contents', async (t) => {
  const content = 'The quick brown fox\n'.repeat(50);
  const repo = await t.seeded({ 'a b/fox & dog.txt': content });
  const path = 'a b/fox & dog.txt';
  const whole = await repo.getFileStream({ path });
  assert.equal(whole.status, 200);
  assert.equal(await whole.text(), content);
  const head = await repo.headFile({ path });
  assert.deepEqual([head.status, head.size, head.acceptRanges, head.contentType], [200, content.length, 'bytes', 'application/octet-stream']);
  assert.match(head.blobSha, hex40);
  assert.equal(head.etag, `"${head.blobSha}"`);
  assert.equal(head.lastCommitSha, repo.first.commitSha);
  assert.ok(Math.abs(head.lastModified - Date.now()) < 600_000);

  const get = (headers) => repo.getFileStream({ path, headers });
  const ranged = await get({ range: 'bytes=4-8' });
  assert.deepEqual([ranged.status, ranged.headers.get('content-range'), await ranged.text()], [206, `bytes 4-8/${content.length}`, 'quick']);
  assert.equal(await (await get({ range: 'bytes=-4' })).text(), 'fox\n');
  assert.equal(await (await get({ range: 'bytes=996-' })).text(), 'fox\n');
  const several = await get({ range: 'bytes=0-2,4-8' });
  assert.equal(several.status, 206);
  assert.match(several.headers.get('content-type'), /^multipart\/byteranges/);
  const beyond = await get({ range: 'bytes=5000-' });
  assert.deepEqual([beyond.status, beyond.headers.get('content-range')], [416, `bytes */${content.length}`]);
  await beyond.text();
  const partial = await repo.headFile({ path, headers: { range: 'bytes=0-9' } });
  assert.deepEqual([partial.status, partial.size, partial.contentRange], [206, 10, `bytes 0-9/${content.length}`]);

  const other = `"${'1'.repeat(40)}"`;
  const [past, future] = [new Date(0).toUTCString(), new Date(Date.now() + 86_400_000).toUTCString()];
  for (const [headers, status] of [
    [{ ifNoneMatch: head.etag }, 304], [{ ifNoneMatch: other }, 200], [{ ifNoneMatch: '*' }, 304],
    [{ ifMatch: head.etag }, 200], [{ ifMatch: other }, 412],
    [{ ifModifiedSince: future }, 304], [{ ifModifiedSince: past }, 200], [{ ifModifiedSince: head.rawLastModified }, 304],
    [{ ifUnmodifiedSince: past }, 412], [{ ifUnmodifiedSince: future }, 200],
    [{ range: 'bytes=0-2', ifRange: head.etag }, 206], [{ range: 'bytes=0-2', ifRange: other }, 200],
  ]) {
    const answer = await get(headers);
    assert.equal(answer.status, status, JSON.stringify(headers));
    const text = await answer.text();
    if (status === 412) assert.equal(typeof JSON.parse(text).error, 'string');
    assert.equal((await repo.headFile({ path, headers })).status, status, `HEAD ${JSON.stringify(headers)}`);
  }

  assert.equal(await textOf(repo, path, { ref: repo.first.commitSha }), content);
  await t.commit(repo, { [path]: 'changed' });
  assert.equal(await textOf(repo, path, { ref: 'main~1' }), content);
  assert.equal(await textOf(repo, path), 'changed');
  for (const [bad, status] of [[{ path: 'absent' }, 404], [{ path: 'a b' }, 404], [{ path, ref: 'absent' }, 404], [{ path, ref: '--help' }, 400], [{ path: '../x' }, 400]]) {
    const error = await repo.getFileStream(bad).catch((e) => e);
    assert.equal(error.status, status, `${JSON.stringify(bad)}: ${error.message}`);
  }
  const absent = await repo.headFile({ path: 'absent' }).catch((e) => e);
  assert.equal(absent.status, 404); // HEAD has no body to explain it
  await apiError(unchecked(t.storage.repo({ id: 'sdk/no-such' })).getFileStream({ path }), 404);
});

// untar returns the files of a tar archive by name: content, or the target of
// a symbolic link.
function untar(archive) {
  const files = {};
  let long;
  for (let at = 0; archive[at] && at < archive.length; ) {
    const field = (from, length) => archive.toString('utf8', at + from, at + from + length).replace(/\0[^]*$/, '');
    const size = parseInt(field(124, 12), 8);
    const type = field(156, 1);
    const body = archive.subarray(at + 512, at + 512 + size);
    if (type === 'x' || type === 'g') {
      long = type === 'x' ? /\d+ path=([^\n]*)\n/.exec(body.toString())?.[1] : long;
    } else {
      const name = long ?? (field(345, 155) ? `${field(345, 155)}/${field(0, 100)}` : field(0, 100));
      if (type !== '5') files[name] = type === '2' ? `-> ${field(157, 100)}` : body.toString();
      long = undefined;
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

scenario('archives', async (t) => {
  const repo = await t.empty();
  const deep = `${'long/'.repeat(40)}name.txt`;
  await repo.createCommit({ targetBranch: 'main', commitMessage: 'm', author })
    .addFileFromString('a.txt', 'a').addFileFromString('src/b.go', 'bb').addFileFromString('src/c.txt', 'cc')
    .addFileFromString('run', 'x', { mode: '100755' }).addFileFromString('link', 'a.txt', { mode: '120000' })
    .addFileFromString(deep, 'deep').addFileFromString('big', 'x'.repeat(10_000)).send();
  const archive = async (options) => {
    const answer = await repo.getArchiveStream(options);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'application/gzip');
    return untar(gunzipSync(Buffer.from(await answer.arrayBuffer())));
  };
  const all = { 'a.txt': 'a', 'src/b.go': 'bb', 'src/c.txt': 'cc', run: 'x', link: '-> a.txt', [deep]: 'deep', big: 'x'.repeat(10_000) };
  assert.deepEqual(await archive(), all);
  assert.deepEqual(await archive({ ref: 'main' }), all);
  assert.deepEqual(Object.keys(await archive({ includeGlobs: ['**/*.txt', '*.txt'], excludeGlobs: ['long/**'] })).sort(), ['a.txt', 'src/c.txt']);
  assert.deepEqual(Object.keys(await archive({ includeGlobs: ['src/**'], archivePrefix: 'delta-1/' })).sort(), ['delta-1/src/b.go', 'delta-1/src/c.txt']);
  assert.equal((await archive({ maxBlobSize: 1000 })).big, undefined);
  await apiError(repo.getArchiveStream({ ref: 'absent' }), 404);
  await apiError(repo.getArchiveStream({ archivePrefix: '../x' }), 400);
});

scenario('searching', async (t) => {
  const files = {};
  for (let i = 0; i < 7; i++) files[`src/${i}.go`] = `package x\nfunc F${i}() {}\n// end\n`;
  files['notes.txt'] = 'A func is not a FUNC\nsecond\n';
  files['image.bin'] = 'func\0func\n';
  const repo = await t.seeded(files);
  const found = await repo.grep({ query: { pattern: 'func F[0-2]\\(' }, fileFilters: { extensionFilters: ['go'] } });
  assert.deepEqual(found.query, { pattern: 'func F[0-2]\\(', caseSensitive: true });
  assert.deepEqual(found.repo, { ref: 'main', commit: repo.first.commitSha });
  assert.deepEqual(found.matches, [0, 1, 2].map((i) => ({ path: `src/${i}.go`, lines: [{ lineNumber: 2, text: `func F${i}() {}`, type: 'match' }] })));
  assert.deepEqual([found.hasMore, found.nextCursor], [false, undefined]);

  const paths = async (options) => (await repo.grep({ query: { pattern: 'func' }, ...options })).matches.map((m) => m.path);
  assert.deepEqual(await paths({ paths: ['notes.txt'] }), ['notes.txt']);
  assert.deepEqual(await paths({ fileFilters: { includeGlobs: ['src/*'], excludeGlobs: ['src/[1-9].go'] } }), ['src/0.go']);
  assert.equal((await paths({})).length, 8); // the binary file is left out
  assert.deepEqual(await paths({ rev: 'main', query: { pattern: 'FUNC' } }), ['notes.txt']);
  assert.equal((await paths({ query: { pattern: 'FUNC', caseSensitive: false } })).length, 8);
  assert.deepEqual(await paths({ query: { pattern: 'nothing has this' } }), []);
  const context = await repo.grep({ query: { pattern: 'F3' }, context: { before: 1, after: 1 } });
  assert.deepEqual(context.matches[0].lines.map((l) => [l.lineNumber, l.type]), [[1, 'context'], [2, 'match'], [3, 'context']]);
  const limited = await repo.grep({ query: { pattern: '.' }, limits: { maxMatchesPerFile: 2 }, fileFilters: { extensionFilters: ['go'] } });
  assert.ok(limited.matches.every((m) => m.lines.length === 2));
  const lines = await repo.grep({ query: { pattern: '.' }, limits: { maxLines: 4 } });
  assert.equal(lines.matches.flatMap((m) => m.lines).length, 4);

  const all = [];
  for (let cursor, n = 0; ; n++) {
    const page = await repo.grep({ query: { pattern: 'func' }, pagination: { limit: 3, cursor } });
    all.push(...page.matches.map((m) => m.path));
    if (!page.hasMore) break;
    cursor = page.nextCursor;
    assert.ok(n < 10);
  }
  assert.deepEqual(all, await paths({}));
  await apiError(repo.grep({ query: { pattern: '(' } }), 400);
  await apiError(repo.grep({ query: { pattern: 'x' }, ref: 'absent' }), 404);
  await apiError(repo.grep({ query: { pattern: 'x' }, pagination: { cursor: 'nonsense' } }), 400);
});

scenario('blame', async (t) => {
  const repo = await t.seeded({ 'a.txt': 'one\ntwo\nthree\n' });
  const second = await t.commit(repo, { 'a.txt': 'one\nTWO\nthree\n' }, { commitMessage: 'Shout', author: { name: 'Bob', email: 'bob@example.test' } });
  const blame = await repo.getBlame({ path: 'a.txt' });
  assert.deepEqual([blame.ref, blame.path, blame.commitSha], ['main', 'a.txt', second.commitSha]);
  assert.deepEqual(blame.lines.map((l) => [l.lineNumber, l.commitSha, l.authorName, l.summary]), [
    [1, repo.first.commitSha, 'Ada', 'First'], [2, second.commitSha, 'Bob', 'Shout'], [3, repo.first.commitSha, 'Ada', 'First'],
  ]);
  assert.equal(blame.lines[1].previousCommitSha, repo.first.commitSha);
  assert.ok(Math.abs(blame.lines[0].authorTime - Date.now()) < 600_000);
  const ranged = await repo.getBlame({ path: 'a.txt', ref: 'main', ranges: ['1,1', '/thr/,+1'], detectMoves: true });
  assert.deepEqual(ranged.lines.map((l) => l.lineNumber), [1, 3]);
  // A file that was moved.
  await t.commit(repo, { 'a.txt': null, 'b.txt': 'one\nTWO\nthree\n' });
  assert.equal((await repo.getBlame({ path: 'b.txt' })).lines[0].originalPath, 'a.txt');
  await apiError(repo.getBlame({ path: 'absent' }), 404);
  await apiError(repo.getBlame({ path: 'b.txt', ranges: ['nonsense'] }), 400);
  await apiError(repo.getBlame({ path: 'b.txt', ranges: ['900,901'] }), 400);
  await apiError(repo.getBlame({ path: 'b.txt', ranges: Array(17).fill('1,1') }), 400);
});
