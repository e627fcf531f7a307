/** The end of a command that changed something: its usual output, then with `--wait` whether the agents hold the change. */
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import type { JsonValue, OutputFormat } from '@bonafide/shared/cli/output';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { counted } from '../printed-words.js';
import type { ServerConnection } from '../server-connection.js';
import { awaitDelivery, type DeliveryOutcome } from './await-delivery.js';
import { deliveryJson, deliveryText } from './delivery-text.js';
import type { WaitFlag } from './wait-flag.js';

interface PrintFlags extends WaitFlag {
  readonly output: OutputFormat;
}

/**
 * @param print the usual output, with the delivery in it for JSON; what it throws is thrown once everything is printed.
 * @throws BonafideError `deadline_exceeded` when an agent does not hold the change in time.
 */
export async function printAndWait(
  server: ServerConnection,
  host: CommandHost,
  { wait, output }: PrintFlags,
  print: (delivery?: JsonValue) => void,
): Promise<void> {
  if (wait === undefined) {
    print();
    return;
  }
  // Whoever reads the words sees at once what was changed; JSON is one object.
  const failure = output === 'pretty' ? thrownBy(print) : undefined;
  const outcome = await deliveryOf(server, host, wait, failure);
  if (output === 'json') print(outcome === undefined ? undefined : deliveryJson(outcome));
  else if (outcome !== undefined) host.stdout.write(deliveryText(outcome));
  if (failure !== undefined) throw failure.error;
  if (outcome === undefined) throw noReceipts();
  const { length } = outcome.undelivered;
  if (length === 0) return;
  throw new BonafideError(
    'deadline_exceeded',
    `the change stands, but ${counted(length, 'agent does', 'agents do')} not hold it yet`,
  );
}

/** Undefined when the server named no revision. */
async function deliveryOf(
  server: ServerConnection,
  host: CommandHost,
  waitSeconds: number,
  failure: { readonly error: unknown } | undefined,
): Promise<DeliveryOutcome | undefined> {
  const revisions = server.committedRevisions;
  if (revisions.length === 0) return undefined;
  try {
    return await awaitDelivery(server, host, revisions, waitSeconds * 1000);
  } catch (error) {
    // What went wrong with the change itself matters more.
    throw failure === undefined ? error : failure.error;
  }
}

function thrownBy(print: () => void): { readonly error: unknown } | undefined {
  try {
    print();
    return undefined;
  } catch (error) {
    return { error };
  }
}

function noReceipts(): BonafideError {
  return new BonafideError(
    'failed_precondition',
    'the server does not say in which revision it committed the change, so that its delivery cannot be waited for; leave out --wait',
  );
}
