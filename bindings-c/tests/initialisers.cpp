// The header in C++17: every initialiser, and the names of enumerations as types.
#include <callsheet.h>

int main() {
    callsheet_connect_options_t connect = CALLSHEET_CONNECT_OPTIONS_INIT;
    callsheet_filter_options_t filter = CALLSHEET_FILTER_OPTIONS_INIT;
    callsheet_check_options_t check = CALLSHEET_CHECK_OPTIONS_INIT;
    callsheet_registration_options_t registration = CALLSHEET_REGISTRATION_OPTIONS_INIT;
    callsheet_update_options_t update = CALLSHEET_UPDATE_OPTIONS_INIT;
    callsheet_picker_options_t picker = CALLSHEET_PICKER_OPTIONS_INIT;
    callsheet_ejection_options_t ejection = CALLSHEET_EJECTION_OPTIONS_INIT;
    callsheet_stats_t stats = CALLSHEET_STATS_INIT;
    registration.service = "billing";
    registration.port = 8080;
    registration.address = "10.0.0.1";
    registration.check = &check;
    picker.filter = &filter;
    picker.ejection = &ejection;
    picker.policy = CALLSHEET_POLICY_ROUND_ROBIN;

    callsheet_client_t *client = nullptr;
    callsheet_registration_t *registered = nullptr;
    callsheet_picker_t *picking = nullptr;
    callsheet_pick_t pick;
    callsheet_code code = callsheet_connect("memory:", &connect, &client, nullptr);
    bool well = code == CALLSHEET_OK &&
                callsheet_register(client, &registration, &registered, nullptr) == CALLSHEET_OK &&
                callsheet_registration_update(registered, &update, nullptr) == CALLSHEET_OK &&
                callsheet_picker_open(client, "billing", &picker, &picking, nullptr) == CALLSHEET_OK &&
                callsheet_pick_within(picking, 10000, &pick, nullptr) == CALLSHEET_OK &&
                callsheet_stats(client, &stats, nullptr) == CALLSHEET_OK && stats.registered == 1;
    if (well)
        callsheet_pick_done(&pick, CALLSHEET_OUTCOME_OK);
    callsheet_picker_free(picking);
    callsheet_registration_free(registered);
    well = well && callsheet_client_close(client, nullptr) == CALLSHEET_OK;
    callsheet_client_free(client);
    return well ? 0 : 1;
}
