#!/usr/bin/env node
/** The program bonafide-oidc. */
import { runOidcProgram } from './cli/program.js';

process.exitCode = await runOidcProgram(process.argv.slice(2));
