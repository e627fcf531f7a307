/** Whether a person looks at what a command prints, and whether colour may be shown to them. */
import type { CommandHost } from './command-host.js';

type Stream = 'stdout' | 'stderr';

/** A terminal that can move its cursor: tables, lines that are written over. */
export function isTerminal(host: CommandHost, stream: Stream): boolean {
  return host[stream].isTTY === true && host.environment['TERM'] !== 'dumb';
}

/** NO_COLOR, as no-color.org has it: any value but an empty one switches colour off. */
export function showsColour(host: CommandHost, stream: Stream): boolean {
  return isTerminal(host, stream) && (host.environment['NO_COLOR'] ?? '') === '';
}
