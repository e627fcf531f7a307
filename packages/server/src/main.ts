#!/usr/bin/env node
/** The program bonafide-server. */
import { runServerProgram } from './cli/program.js';

process.exitCode = await runServerProgram(process.argv.slice(2));
