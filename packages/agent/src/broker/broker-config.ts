/** The `broker` part of the agent's configuration, with SPIRE's keys: where the SPIFFE Broker Endpoint is, and who may ask for what. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { z } from 'zod';
import { parseServerAddress } from '../agent-identity/server-address.js';

const MOST_BROKERS = 1000;

const referenceTypeSchema = z.strictObject({
  /** For example `type.googleapis.com/spiffe.broker.WorkloadPIDReference`, or `*` for every type. */
  type_url: z.string().min(1).max(1024),
  /** A pid means nothing on another machine, so that this is for whoever knows what it does. */
  allow_over_tcp: z.boolean().default(false),
});

export const brokerConfigSchema = z
  .strictObject({
    socket_path: z.string().min(1).optional(),
    /** `host:port`. */
    bind_address: parsedString(parseServerAddress).optional(),
    /** Calls that one broker may have open at once. */
    max_streams_per_broker: z.number().int().min(1).max(1_000_000).default(10_000),
    brokers: z
      .array(
        z.strictObject({
          id: parsedString(parseSpiffeId),
          allowed_reference_types: z.array(referenceTypeSchema).min(1).max(100),
        }),
      )
      .min(1)
      .max(MOST_BROKERS),
  })
  .superRefine(({ bind_address: address, brokers, socket_path: path }, context) => {
    if (path === undefined && address === undefined) {
      context.addIssue({
        code: 'custom',
        path: ['socket_path'],
        message: 'is missing; expected it, bind_address or both',
      });
    }
    brokers.forEach(({ id }, index) => {
      if (brokers.findIndex((other) => other.id === id) === index) return;
      context.addIssue({ code: 'custom', path: ['brokers', index, 'id'], message: `${id} is there twice` });
    });
  });

export type BrokerConfig = z.output<typeof brokerConfigSchema>;
