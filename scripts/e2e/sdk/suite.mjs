// The whole conformance suite. SDK_KIND says what repositories it makes.
import { main } from './harness.mjs';
import './repositories.mjs';
import './commits.mjs';
import './files.mjs';
import './history.mjs';
import './notes.mjs';
import './refs.mjs';
import './policies.mjs';
import './remotes.mjs';
import './upstream.mjs';

await main({ faults: process.env.SDK_FAULTS !== 'none', match: process.env.SDK_MATCH });
