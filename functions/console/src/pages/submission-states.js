// The states and sources of submissions.

import { tag } from "./dom.js";
import { t } from "./words.js";

export const SOURCES = { linkedin: "LinkedIn", website: t("Website"), google_ads: "Google Ads" };

// The states of a submission: colour, label, description.
export const STATES = {
	received: ["", t("Received"), t("It is stored and is about to be written to the CRM.")],
	processing: ["", t("In progress"), t("It is being written to the CRM.")],
	waiting: ["warn", t("Waiting"), t("Something stands in its way for a while; it goes on by itself.")],
	needs_attention: ["bad", t("Needs attention"), t("It cannot go on until somebody does the next step below.")],
	held_test: ["warn", t("Test lead, held"), t("The source marked it as a test, so it is held back from the CRM.")],
	created: ["good", t("Lead created"), t("A lead was created in the CRM.")],
	attached: ["good", t("Joined a lead"), t("It joined a lead that was in the CRM already.")],
	withdrawn: ["", t("Withdrawn"), t("The person withdrew it at the source; its answers are deleted here.")],
};
export const stateTag = (state) => tag(STATES[state]?.[0], STATES[state]?.[1] ?? state);
