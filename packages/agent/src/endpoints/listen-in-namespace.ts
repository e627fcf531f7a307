/** Listens for peers, calls itself, and tells what comes of it, line by line: the program of workload-namespaces.test.ts. */
import { connect } from 'node:net';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { createLogger } from '@bonafide/shared/runtime/logger';
import { endpointLimits } from './endpoint-limits.js';
import { PeerListener } from './peer-listener.js';

const [path = ''] = process.argv.slice(2);
const listener = new PeerListener({
  serve: (socket) => {
    socket.end('served');
  },
  limits: endpointLimits(),
  clock: systemClock,
  log: createLogger({ level: 'warn', format: 'text' }),
});
try {
  await listener.listen({ path });
  connect(path).on('data', (bytes: Buffer) => process.stdout.write(`${bytes.toString()} itself\n`));
} catch (error) {
  process.stdout.write(`${errorMessage(error)}\n`);
}
