/** The `health_checks` part of the configuration of server and agent, with SPIRE's keys. */
import { z } from 'zod';

const path = z.string().regex(/^\/[\x21-\x7e]{0,255}$/, 'is no path; expected one such as /live');

export const healthConfigSchema = z
  .strictObject({
    listener_enabled: z.boolean().default(false),
    bind_address: z.string().min(1).default('localhost'),
    bind_port: z.coerce.number().int().min(0).max(65535).default(80),
    live_path: path.default('/live'),
    ready_path: path.default('/ready'),
  })
  .refine(({ live_path: live, ready_path: ready }) => live !== ready, {
    path: ['ready_path'],
    message: 'is the same as live_path; expected another one',
  });

export type HealthConfig = z.output<typeof healthConfigSchema>;
