/** Configuration of `http_challenge`, with SPIRE's names for what SPIRE has. */
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { parseIpNetwork } from '@bonafide/shared/http/network-address';
import { z } from 'zod';
import { parseHostNamePattern } from './host-name.js';

/** Below it, only root can listen. */
const FIRST_FREE_PORT = 1024;

export const httpChallengeConfigSchema = z
  .strictObject({
    /** Regular expressions, each for a whole hostname; none: every name is allowed. */
    allowed_dns_patterns: z.array(parsedString(parseHostNamePattern)).max(1_000).default([]),
    required_port: z.int().min(1).max(65_535).optional(),
    allow_non_root_ports: z.boolean().default(true),
    /** Trust on first use. */
    tofu: z.boolean().default(true),
    /** Ours: the networks in which nodes are called back; without it, those that are public. */
    allowed_networks: z.array(parsedString(parseIpNetwork)).min(1).max(1_000).optional(),
  })
  .refine((config) => config.tofu || !isFree(config), {
    message: 'you can not turn off trust on first use (TOFU) when non-root ports are allowed',
    path: ['tofu'],
  });

export type HttpChallengeConfig = z.infer<typeof httpChallengeConfigSchema>;

/** Whether any user of a node can answer for it. */
function isFree(config: { required_port?: number | undefined; allow_non_root_ports: boolean }): boolean {
  const { required_port, allow_non_root_ports } = config;
  return required_port === undefined ? allow_non_root_ports : required_port >= FIRST_FREE_PORT;
}

/** @returns what is wrong with the port; undefined: nothing. */
export function portProblem(port: number, config: HttpChallengeConfig): string | undefined {
  if (config.required_port !== undefined && port !== config.required_port) {
    return `port ${port} is not allowed to be used by this server; it asks for ${config.required_port}`;
  }
  if (!config.allow_non_root_ports && port >= FIRST_FREE_PORT) {
    return `port ${port} is not allowed to be >= ${FIRST_FREE_PORT}`;
  }
  return undefined;
}
