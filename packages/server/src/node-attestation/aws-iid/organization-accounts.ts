/** The accounts of an AWS organization, from a file or from its API, had anew when they are old. Without a list nobody is a member. */
import { readFile } from 'node:fs/promises';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { parseUniqueJsonText } from '@bonafide/shared/jwt/unique-json';
import { z } from 'zod';
import type { AccountAccess } from './account-access.js';
import type { OrganizationConfig } from './aws-iid-config.js';
import type { AwsApi } from './aws-request.js';

/** How often an account that is not on the list has it read again before its time. */
const EARLY_READS = 5;
const MOST_PAGES = 1000;
const DEFAULT_REGION = 'us-west-2';

const accountId = z.string().regex(/^[0-9]{12}$/);
const pageSchema = z.object({
  Accounts: z.array(z.object({ Id: accountId, Status: z.string() })),
  NextToken: z.string().min(1).nullish(),
});

interface OrganizationOptions {
  readonly config: OrganizationConfig;
  readonly api: AwsApi;
  readonly access: AccountAccess;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export class OrganizationAccounts {
  readonly #options: OrganizationOptions;
  #accounts: ReadonlySet<string> = new Set();
  /** Of the monotonic clock. */
  #staleAtMs = 0;
  #earlyReadsLeft = 0;
  #reading: Promise<void> | undefined;

  constructor(options: OrganizationOptions) {
    this.#options = options;
  }

  /** A file that cannot be read is found at once. @throws BonafideError `invalid_argument`. */
  async check(): Promise<void> {
    const { account_list_file: file } = this.#options.config;
    if (file !== undefined) await readAccountList(file);
  }

  /** @throws BonafideError when there is no list: whoever cannot be looked up is no member. */
  async includes(account: string): Promise<boolean> {
    if (this.#staleAtMs === 0 || this.#options.clock.monotonicMs() >= this.#staleAtMs) {
      await this.#read(true);
      return this.#accounts.has(account);
    }
    if (this.#accounts.has(account)) return true;
    if (this.#earlyReadsLeft === 0) return false;
    this.#earlyReadsLeft -= 1;
    await this.#read(false);
    return this.#accounts.has(account);
  }

  #read(isDue: boolean): Promise<void> {
    this.#reading ??= this.#load(isDue).finally(() => {
      this.#reading = undefined;
    });
    return this.#reading;
  }

  async #load(isDue: boolean): Promise<void> {
    const { config, clock } = this.#options;
    this.#accounts =
      config.account_list_file === undefined
        ? await this.#listAccounts()
        : await readAccountList(config.account_list_file);
    if (!isDue) return;
    this.#staleAtMs = clock.monotonicMs() + config.org_account_map_ttl * 1000;
    this.#earlyReadsLeft = EARLY_READS;
  }

  /** Organizations ListAccounts; only accounts that are ACTIVE count. */
  async #listAccounts(): Promise<ReadonlySet<string>> {
    const { config, api, access, signal } = this.#options;
    const region = config.management_account_region ?? DEFAULT_REGION;
    const credentials = await access.credentials(
      config.management_account_id ?? '',
      region,
      config.assume_org_role,
    );
    const accounts = new Set<string>();
    let nextToken: string | undefined;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const text = await api.send({
        service: 'organizations',
        region,
        credentials,
        contentType: 'application/x-amz-json-1.1',
        headers: { 'x-amz-target': 'AWSOrganizationsV20161128.ListAccounts' },
        body: JSON.stringify(nextToken === undefined ? {} : { NextToken: nextToken }),
        signal,
      });
      const parsed = pageSchema.safeParse(parseUniqueJsonText(text, 'answer of AWS to ListAccounts'));
      if (!parsed.success)
        throw new BonafideError('unavailable', 'the answer of AWS to ListAccounts is not a list of accounts');
      for (const { Id, Status } of parsed.data.Accounts) if (Status === 'ACTIVE') accounts.add(Id);
      nextToken = parsed.data.NextToken ?? undefined;
      if (nextToken === undefined) return accounts;
    }
    throw new BonafideError('unavailable', `the organization has more than ${MOST_PAGES} pages of accounts`);
  }
}

/** A JSON array of account IDs. */
async function readAccountList(file: string): Promise<ReadonlySet<string>> {
  try {
    return new Set(z.array(accountId).parse(JSON.parse(await readFile(file, 'utf8'))));
  } catch (cause) {
    const why =
      cause instanceof z.ZodError ? 'it is not a JSON array of 12-digit account IDs' : errorMessage(cause);
    throw new BonafideError('invalid_argument', `cannot use account_list_file ${file}: ${why}`, { cause });
  }
}
