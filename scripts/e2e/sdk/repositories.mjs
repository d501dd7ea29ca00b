// Scenarios of repositories, credentials and clients.
import assert from 'node:assert/strict';
import { apiError, control, env, newStorage, pages, refused, scenario, sdk, textOf, unchecked, watchStorage } from './harness.mjs';

const { CodeStorage, GitStorage, createClient } = sdk;

// tokenOf takes the token out of a remote's URL.
const tokenOf = (url) => decodeURIComponent(new URL(url).password);

scenario('repositories', async (t) => {
  const repo = await t.empty({ create: { defaultBranch: 'trunk' } });
  if (!env.synced) assert.equal(repo.defaultBranch, 'trunk');
  const found = await t.storage.findOne({ id: repo.id });
  assert.equal(found.id, repo.id);
  assert.ok(Date.parse(found.createdAt) > Date.now() - 600_000, found.createdAt);
  assert.equal(await t.storage.findOne({ id: 'sdk/no-such' }), null);
  await assert.rejects(t.storage.createRepo({ id: repo.id }), { message: 'Repository already exists' });

  const handle = t.storage.repo({ id: repo.id, defaultBranch: 'trunk', createdAt: 'then' });
  assert.deepEqual([handle.id, handle.defaultBranch, handle.createdAt], [repo.id, 'trunk', 'then']);
  assert.throws(() => t.storage.repo({ id: ' ' }), /non-empty/);

  const unnamed = await t.storage.createRepo();
  assert.match(unnamed.id, /^[0-9a-f-]{36}$/);
  assert.equal(unnamed.defaultBranch, 'main');
  const deleted = await t.storage.deleteRepo({ id: unnamed.id });
  assert.match(deleted.repoId, /^repo_/);
  assert.ok(deleted.message);
  await assert.rejects(t.storage.deleteRepo({ id: unnamed.id }), { message: /^Repository (not found|already deleted)$/ });
  assert.equal(await t.storage.findOne({ id: unnamed.id }), null);
  await apiError(unnamed.listBranches(), 404);
  await t.storage.createRepo({ id: unnamed.id }); // the name is free again
  await t.storage.deleteRepo({ id: unnamed.id });

  await apiError(t.storage.createRepo({ id: 'org' }), 403); // names no single repository
  for (const id of ['api/x', '../x', 'a//b', 'x.git', 'x+ephemeral', 'x+import', 'x\ny']) {
    await apiError(t.storage.createRepo({ id }), 400);
  }
  // Any other text is a name.
  const text = await t.storage.createRepo({ id: `x y/café: a|b+${unnamed.id}` });
  assert.equal((await t.storage.findOne({ id: text.id })).id, text.id);
  await t.storage.deleteRepo({ id: text.id });
});

scenario('an empty repository', async (t) => {
  const repo = await t.empty();
  assert.deepEqual(await repo.listBranches(), { branches: [], nextCursor: undefined, hasMore: false });
  assert.deepEqual(await repo.listTags(), { tags: [], nextCursor: undefined, hasMore: false });
  assert.deepEqual(await repo.listNotesRefs(), { refs: [], nextCursor: undefined, hasMore: false, prefix: 'refs/notes/' });
  for (const read of [
    () => repo.listFiles(), () => repo.listFilesWithMetadata(), () => repo.listCommits(), () => repo.getCommit({ sha: 'main' }),
    () => repo.getFileStream({ path: 'a' }), () => repo.getArchiveStream(), () => repo.grep({ query: { pattern: 'x' } }),
    () => repo.getBlame({ path: 'a' }), () => repo.getBranchDiff({ branch: 'main' }), () => repo.getCommitDiff({ sha: 'main' }),
    () => repo.previewMerge({ sourceBranch: 'a', targetBranch: 'b' }), () => repo.getNote({ sha: '1'.repeat(40) }),
  ]) {
    await apiError(read(), 404);
  }
  await apiError(repo.createBranch({ baseBranch: 'main', targetBranch: 'x' }), 404);
  await refused(t.commit(repo, { a: null }), 'invalid'); // there is nothing to delete
  const first = await t.commit(repo, { a: 'a' });
  assert.equal(first.refUpdate.oldSha, '0'.repeat(40));
  assert.equal(await textOf(repo, 'a'), 'a');
});

scenario('listing repositories', async (t) => {
  const ids = [];
  for (let i = 0; i < 5; i++) ids.push((await t.storage.createRepo({ id: `list-${env.synced}/Repo-${i}` })).id);
  ids.reverse(); // the newest first
  for (const limit of [1, 2, 5, undefined]) {
    const listed = await pages((o) => t.storage.listRepos(o), 'repos', { q: ` LIST-${env.synced}/ `, limit });
    assert.deepEqual(listed.map((r) => r.url), ids);
    for (const r of listed) {
      assert.match(r.repoId, /^repo_/);
      assert.equal(r.defaultBranch, 'main');
      assert.ok(Date.parse(r.createdAt));
      assert.equal(r.baseRepo, undefined);
    }
  }
  assert.deepEqual((await t.storage.listRepos({ q: 'no such name' })).repos, []);
  await apiError(t.storage.listRepos({ cursor: 'nonsense' }), 400);
  const everything = (await pages((o) => t.storage.listRepos(o), 'repos', { limit: 100 })).map((r) => r.url);
  assert.equal(new Set(everything).size, everything.length);
  for (const id of ids) assert.ok(everything.includes(id));
});

scenario('credentials', async (t) => {
  // Nothing is contacted before the first pull, so any upstream will do.
  const repo = await t.storage.createRepo({
    id: `sdk/${t.name}`,
    baseRepo: { provider: 'gitea', owner: 'ada', name: 'none', upstreamHost: (await control('host')).host },
  });
  const listed = (await t.storage.listRepos({ q: repo.id })).repos;
  assert.deepEqual(listed[0].baseRepo, { provider: 'gitea', owner: 'ada', name: 'none' });
  const made = await t.storage.createGitCredential({ repoId: repo.id, password: 'first' });
  assert.match(made.id, /^ggc_/);
  await assert.rejects(t.storage.createGitCredential({ repoId: repo.id, password: 'second' }), {
    message: 'A credential already exists for this repository',
  });
  const updated = await t.storage.updateGitCredential({ id: made.id, username: 'ada', password: 'third' });
  assert.equal(updated.id, made.id);
  assert.ok(Date.parse(updated.createdAt));
  assert.equal(await t.storage.deleteGitCredential({ id: made.id }), undefined);
  await assert.rejects(t.storage.deleteGitCredential({ id: made.id }), { message: 'Credential not found' });
  await assert.rejects(t.storage.updateGitCredential({ id: made.id, password: 'x' }), { message: 'Credential not found' });
  await apiError(t.storage.createGitCredential({ repoId: 'sdk/no-such', password: 'x' }), 404);
  // One that is given by the internal id of the repository.
  assert.match((await t.storage.createGitCredential({ repoId: listed[0].repoId, password: 'x' })).id, /^ggc_/);
});

scenario('upstreams that cannot be', async (t) => {
  let n = 0;
  const create = (baseRepo) => t.storage.createRepo({ id: `sdk/${t.name}-${++n}`, baseRepo });
  await apiError(create({ owner: 'a', name: 'b' }), 412); // no GitHub App is configured
  await apiError(create({ provider: 'gitea', owner: 'a', name: 'b' }), 400); // no host
  await apiError(create({ provider: 'gitea', owner: 'a', name: 'b', upstreamHost: 'https://example.test/x' }), 400);
  await apiError(create({ provider: 'svn', owner: 'a', name: 'b', upstreamHost: 'example.test' }), 400);
  await apiError(create({ provider: 'gitea', owner: '', name: 'b', upstreamHost: 'example.test' }), 400);
  const local = await t.empty({ local: true });
  await apiError(local.pullUpstream(), 400);
  await apiError(t.storage.repo({ id: 'sdk/no-such' }).pullUpstream(), 404);
});

scenario('forks', async (t) => {
  const source = await t.seeded();
  const second = await t.commit(source, { 'README.md': '# Changed\n' });
  await source.createBranch({ baseBranch: 'main', targetBranch: 'topic' });
  await source.createTag({ name: 'v1', target: source.first.commitSha });

  const fork = await t.storage.createRepo({ id: `sdk/${t.name}-fork`, baseRepo: { id: source.id } });
  assert.equal((await t.storage.findOne({ id: fork.id })).defaultBranch, 'main');
  assert.equal(await textOf(fork, 'README.md'), '# Changed\n');
  await t.commit(fork, { 'only-in-the-fork': 'x' });
  assert.equal((await source.getCommit({ sha: 'main' })).commit.sha, second.commitSha);
  assert.equal((await t.storage.listRepos({ q: fork.id })).repos[0].baseRepo, undefined);

  const at = async (baseRepo, id) => {
    const repo = await t.storage.createRepo({ id: `sdk/${t.name}-${id}`, baseRepo: { id: source.id, ...baseRepo } });
    return (await repo.getCommit({ sha: 'main' })).commit.sha;
  };
  assert.equal(await at({ sha: source.first.commitSha }, 'sha'), source.first.commitSha);
  assert.equal(await at({ ref: 'v1' }, 'tag'), source.first.commitSha);
  assert.equal(await at({ ref: 'v1', sha: second.commitSha }, 'both'), second.commitSha);

  const failing = (baseRepo, id) => t.storage.createRepo({ id: `sdk/${t.name}-${id}`, baseRepo });
  await apiError(failing({ id: 'sdk/no-such' }, 'a'), 404);
  await apiError(failing({ id: source.id, ref: 'no-such' }, 'b'), 404);
  await apiError(failing({ id: source.id, sha: '1'.repeat(40) }, 'c'), 404);
  assert.equal(await t.storage.findOne({ id: `sdk/${t.name}-b` }), null);
  // Deleting the source leaves the fork whole.
  await t.storage.deleteRepo({ id: source.id });
  assert.equal(await textOf(fork, 'README.md'), '# Changed\n');
  assert.equal((await fork.listCommits()).commits.length, 3);
});

scenario('clients', async (t) => {
  assert.equal(CodeStorage, GitStorage);
  for (const make of [(o) => createClient(o), (o) => new CodeStorage(o)]) {
    const config = make({ name: 'local', token: 'x', apiBaseUrl: env.origin }).getConfig();
    assert.deepEqual([config.name, config.apiBaseUrl, config.apiVersion], ['local', env.origin, 1]);
  }
  assert.equal(t.storage.getConfig().storageBaseUrl, new URL(env.origin).host);
  assert.equal(GitStorage.getDefaultAPIBaseUrl('acme'), 'https://api.acme.code.storage');
  assert.equal(GitStorage.getDefaultStorageBaseUrl('acme'), 'acme.code.storage');

  const repo = await t.seeded();
  // A ready-made token goes with every call, whatever the call would ask for.
  const broad = tokenOf(await repo.getRemoteURL({ permissions: ['git:read', 'git:write', 'repo:write', 'org:read'] }));
  const client = watchStorage(newStorage({ token: broad }));
  const same = await client.findOne({ id: repo.id });
  assert.deepEqual((await same.listFiles()).paths, ['README.md', 'src/a.txt']);
  await t.commit(same, { b: 'b' });
  await apiError(client.listRepos(), 403); // it is for one repository

  // One that reads only.
  const reader = newStorage({ token: tokenOf(await repo.getRemoteURL({ permissions: ['git:read'] })) });
  const own = unchecked(reader.repo({ id: repo.id }));
  await own.listFiles();
  await refused(own.createCommit({ targetBranch: 'main', commitMessage: 'm', author: { name: 'a', email: 'a@x' } }).addFileFromString('x', 'x').send(), 'forbidden');
  await refused(own.restoreCommit({ targetBranch: 'main', targetCommitSha: repo.first.commitSha, author: { name: 'a', email: 'a@x' } }), 'forbidden');
  await refused(own.createNote({ sha: repo.first.commitSha, note: 'x' }), 'forbidden');
  await apiError(own.createBranch({ baseBranch: 'main', targetBranch: 'x' }), 403);
  await apiError(own.pullUpstream(), 403);
  await apiError(reader.listRepos(), 403);
  await apiError(reader.deleteRepo({ id: repo.id }), 403);

  // No token that anybody would take.
  const bad = newStorage({ token: 'eyJhbGciOiJub25lIn0.e30.' });
  const none = unchecked(bad.repo({ id: repo.id }));
  await apiError(none.listFiles(), 401);
  await apiError(bad.createRepo({ id: 'sdk/x' }), 401);
  await refused(none.createCommit({ targetBranch: 'main', commitMessage: 'm', author: { name: 'a', email: 'a@x' } }).addFileFromString('x', 'x').send(), 'unauthorized');
  await refused(none.createCommitFromDiff({ targetBranch: 'main', commitMessage: 'm', author: { name: 'a', email: 'a@x' }, diff: 'x' }), 'unauthorized');
  await refused(none.restoreCommit({ targetBranch: 'main', targetCommitSha: repo.first.commitSha, author: { name: 'a', email: 'a@x' } }), 'unauthorized');
  await refused(none.deleteNote({ sha: repo.first.commitSha }), 'unauthorized');
  // An organisation that is not known, with a key that is.
  await apiError(newStorage({ name: 'other' }).listRepos(), 401);
});
