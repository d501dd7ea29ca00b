// A Git client of isomorphic-git. See clients_test.go for its arguments.
import fs from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(process.env.HEADWATER_NODE_MODULES + '/');
const git = require('isomorphic-git');
const http = require('isomorphic-git/http/node');

const token = fs.readFileSync(process.env.CLIENT_TOKEN_FILE, 'utf8').trim();
const common = {
  fs,
  http,
  onAuth: () => ({ username: 't', password: token }),
  onAuthFailure: () => ({ cancel: true }),
  onMessage: (text) => process.stderr.write(text),
};

const verbs = {
  async refs(url) {
    for (const { oid, ref } of await git.listServerRefs({ ...common, url })) console.log(oid, ref);
  },
  async clone(url, dir, depth) {
    await git.clone({ ...common, url, dir, depth: depth ? Number(depth) : undefined });
  },
  async fetch(dir) {
    await git.fetch({ ...common, dir });
  },
  async push(dir, ...names) {
    let refused = false;
    for (const name of names) {
      const remove = name.startsWith('-');
      const ref = remove ? name.slice(1) : name;
      try {
        await git.push({ ...common, dir, ref, remoteRef: ref, delete: remove });
      } catch (problem) {
        if (problem.code !== 'GitPushError') throw problem;
        refused = true;
        for (const [at, { ok, error }] of Object.entries(problem.data.result.refs)) if (!ok) console.error(at, error);
      }
    }
    process.exitCode = refused ? 1 : 0;
  },
};

const [verb, ...rest] = process.argv.slice(2);
await verbs[verb](...rest).catch((problem) => {
  console.error(`${problem.code ?? problem.name}: ${problem.message} ${problem.data?.response ?? ''}`);
  process.exitCode = 1;
});
