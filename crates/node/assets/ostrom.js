// What pages cannot do without a script: passkeys. Everything else works without this file.
"use strict";
