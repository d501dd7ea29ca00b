// A Git client of isomorphic-git. See clients_test.go for its arguments.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(process.env.HEADWATER_NODE_MODULES + '/');
const git = require('isomorphic-git');
const http = require('isomorphic-git/http/node');

let token, stdout, stderr; // of the order that is being run
const common = {
  fs,
  http,
  onAuth: () => ({ username: 't', password: token }),
  onAuthFailure: () => ({ cancel: true }),
  onMessage: (text) => { stderr += text; },
};

const verbs = {
  async refs(url) {
    for (const { oid, ref } of await git.listServerRefs({ ...common, url })) stdout += `${oid} ${ref}\n`;
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
        for (const [at, { ok, error }] of Object.entries(problem.data.result.refs)) if (!ok) stderr += `${at} ${error}\n`;
      }
    }
    return !refused;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { token_file: file, args: [verb, ...rest] } = JSON.parse(line);
  token = fs.readFileSync(file, 'utf8').trim();
  stdout = stderr = '';
  let failed;
  try {
    failed = (await verbs[verb](...rest)) === false;
  } catch (problem) {
    failed = true;
    stderr += `${problem.code ?? problem.name}: ${problem.message} ${problem.data?.response ?? ''}\n`;
  }
  console.log(JSON.stringify({ failed, stdout, stderr }));
}
