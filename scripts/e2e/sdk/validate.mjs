// Validates one webhook, given as JSON on standard input, as a receiver that
// uses the SDK does, and prints the outcome.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { validateWebhook } = createRequire(process.env.HEADWATER_NODE_MODULES + '/')('@pierre/storage');
const { body, headers, secret } = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(await validateWebhook(Buffer.from(body, 'base64'), headers, secret)));
