// Validates deliveries, which a receiver really got, with the published SDK,
// and sees to it that it refuses them with a byte changed, with another secret,
// and when they are old. Deliveries and secret come from the environment.
import assert from 'node:assert/strict';
import { validateWebhook } from '@pierre/storage';

const { WEBHOOK_SECRET: secret, WEBHOOK_DELIVERIES: text } = process.env;
const deliveries = JSON.parse(text);
assert.ok(deliveries.length > 0);
for (const { headers, body } of deliveries) {
  const result = await validateWebhook(body, headers, secret);
  assert.equal(result.valid, true, result.error);
  assert.equal(result.eventType, headers['x-pierre-event']);
  if (result.eventType === 'push') {
    const { payload } = result;
    assert.equal(payload.type, 'push');
    assert.match(payload.repository.id, /^repo_/);
    assert.match(payload.ref, /^refs\/(heads|tags)\//);
    assert.match(payload.after, /^[0-9a-f]{40}$/);
    assert.equal(payload.customerId, 'local');
    assert.ok(payload.pushedAt instanceof Date);
  }
  const refuse = async (body, headers, secret, options) =>
    assert.equal((await validateWebhook(body, headers, secret, options)).valid, false);
  await refuse(`${body} `, headers, secret);
  await refuse(body, headers, `${secret}x`);
  await refuse(body, { ...headers, 'x-pierre-signature': undefined }, secret);
  const old = headers['x-pierre-signature'].replace(/^t=\d+/, `t=${Math.floor(Date.now() / 1000) - 301}`);
  await refuse(body, { ...headers, 'x-pierre-signature': old }, secret);
}
console.log(deliveries.length);
