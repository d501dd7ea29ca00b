// Large files, streamed up and down while the memory of the server is watched.
import assert from 'node:assert/strict';
import { createHash, randomFillSync } from 'node:crypto';
import { createGunzip } from 'node:zlib';
import { Readable } from 'node:stream';
import { author, control, main, scenario } from './harness.mjs';

const mib = 1 << 20;

// content streams random bytes, and knows their digest when they are gone.
function content(size) {
  const digest = createHash('sha256');
  const stream = (async function* () {
    for (let left = size; left > 0; ) {
      const piece = randomFillSync(new Uint8Array(Math.min(left, 700_001))); // fits no chunk
      left -= piece.length;
      digest.update(piece);
      yield piece;
    }
  })();
  return { stream, digest: () => digest.digest('hex') };
}

async function digestOf(stream) {
  const digest = createHash('sha256');
  let size = 0;
  for await (const piece of stream) {
    digest.update(piece);
    size += piece.length;
  }
  return { digest: digest.digest('hex'), size };
}

scenario('large files', async (t) => {
  const limit = Number(process.env.SDK_MEMORY_MIB);
  const repo = await t.seeded();
  await control('memory', { reset: true });
  const base = await control('memory');
  const grown = async (what) => {
    const peak = await control('memory', { reset: true });
    if (limit) assert.ok(peak - base < limit, `${what}: the server grew by ${peak - base} MiB`);
  };

  const large = content(64 * mib);
  const made = await repo.createCommit({ targetBranch: 'main', commitMessage: 'Large', author })
    .addFile('large.bin', large.stream).addFileFromString('small.txt', 'small').send();
  assert.equal(made.blobCount, 2);
  assert.ok(made.packBytes > 64 * mib);
  await grown('commit');
  const expected = { digest: large.digest(), size: 64 * mib };
  assert.deepEqual(await digestOf((await repo.getFileStream({ path: 'large.bin' })).body), expected);
  await grown('file');
  const part = await repo.getFileStream({ path: 'large.bin', headers: { range: `bytes=${63 * mib}-` } });
  assert.equal((await digestOf(part.body)).size, mib);
  assert.equal((await repo.headFile({ path: 'large.bin' })).size, 64 * mib);
  const archive = await repo.getArchiveStream({ includeGlobs: ['large.bin'] });
  const tar = Readable.fromWeb(archive.body).pipe(createGunzip());
  assert.ok((await digestOf(tar)).size > 64 * mib);
  await grown('archive');
  const diff = await repo.getCommitDiff({ sha: 'main' });
  assert.deepEqual(diff.filteredFiles.map((f) => f.path), ['large.bin']);
  await repo.grep({ query: { pattern: 'small' } });
  await grown('diff and grep');

  // A reader that leaves early.
  const left = await repo.getFileStream({ path: 'large.bin' });
  const reader = left.body.getReader();
  await reader.read();
  await reader.cancel();

  // A patch of many megabytes, as a stream.
  const lines = 200_000;
  const patch = (async function* () {
    yield `diff --git a/lines b/lines\nnew file mode 100644\n--- /dev/null\n+++ b/lines\n@@ -0,0 +1,${lines} @@\n`;
    for (let i = 0; i < lines; i += 1000) yield Array.from({ length: 1000 }, (_, k) => `+line ${i + k} ${'x'.repeat(60)}\n`).join('');
  })();
  await repo.createCommitFromDiff({ targetBranch: 'main', commitMessage: 'Lines', author, diff: patch });
  assert.ok((await repo.headFile({ path: 'lines' })).size > 12 * mib);
  await grown('patch');

  // Many small ones in one commit.
  const many = repo.createCommit({ targetBranch: 'main', commitMessage: 'Many', author });
  for (let i = 0; i < 1000; i++) many.addFileFromString(`many/${i % 40}/${i}`, `${i}\n`);
  assert.equal((await many.send()).blobCount, 1000);
  assert.equal((await repo.listFiles({ path: 'many' })).paths.length, 1000);
  await grown('many files');
});

await main({ parallel: 1 });
