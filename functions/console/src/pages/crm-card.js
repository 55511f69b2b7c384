// The state of a connection to a CRM or to LinkedIn, as other pages show it.

import { link } from "./api.js";
import { card, hint, p, tag, time } from "./dom.js";
import { t } from "./words.js";

const STATES = {
	not_connected: t("Not connected"),
	connected: t("Connected"),
	sign_in_needed: t("Sign-in needed"),
	disconnecting: t("Disconnecting"),
};

export const statusTag = (status) => tag({ connected: "good", sign_in_needed: "bad", disconnecting: "warn" }[status], STATES[status]);

/** @param {import("./api.js").Api["ConnectionView"]} connection */
export function crmCard(connection) {
	const {
		environment,
		status,
		guide: { step, step_number: number },
	} = connection;
	const name = environment === "production" ? t("Production CRM") : t("Sandbox CRM");
	const open = status !== "not_connected" && step !== "finished";
	return card(
		name,
		p(statusTag(status)),
		(status !== "not_connected" || connection.problem) && p(t(connection.message)),
		connection.instance_url && hint(connection.instance_url),
		connection.sync.last_success_at && hint(t("Last import {time}", { time: time(connection.sync.last_success_at) })),
		p(
			link(
				`crm-${environment}`,
				environment === "production"
					? open
						? t("Go on with step {number} for production", { number })
						: status === "not_connected"
							? t("Connect production")
							: t("Open production")
					: open
						? t("Go on with step {number} for sandbox", { number })
						: status === "not_connected"
							? t("Connect sandbox")
							: t("Open sandbox"),
			),
		),
	);
}
