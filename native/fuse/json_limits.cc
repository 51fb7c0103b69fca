#include "fuse/json_limits.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/base/limits.h"

namespace vzv::fuse {
namespace {

// The events of nlohmann's parser, which stops when one answers false. It does not recurse, so depth costs it no stack.
class Checker {
 public:
  using number_integer_t = nlohmann::json::number_integer_t;
  using number_unsigned_t = nlohmann::json::number_unsigned_t;
  using number_float_t = nlohmann::json::number_float_t;
  using string_t = nlohmann::json::string_t;
  using binary_t = nlohmann::json::binary_t;

  bool null() { return value(); }
  bool boolean(bool) { return value(); }
  bool number_integer(number_integer_t) { return value(); }
  bool number_unsigned(number_unsigned_t) { return value(); }
  bool number_float(number_float_t, const string_t&) { return value(); }
  bool string(string_t&) { return value(); }
  bool binary(binary_t&) { return fail("has a binary value"); }
  bool start_object(std::size_t) { return enter(); }
  bool end_object() { return leave(); }
  bool start_array(std::size_t) { return enter(); }
  bool end_array() { return leave(); }

  bool key(string_t& name) {
    if (keys_.back().insert(name).second) return true;
    return fail("has a key twice in one object");
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) {
    return fail("is not JSON at byte " + std::to_string(position));
  }

  const std::string& problem() const { return problem_; }

 private:
  bool fail(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
    return false;
  }

  bool value() {
    if (++values_ <= limits::kMountSpecValuesMax) return true;
    return fail("has more than " + std::to_string(limits::kMountSpecValuesMax) + " values");
  }

  bool enter() {
    if (keys_.size() >= limits::kMountSpecDepthMax) return fail("is nested too deeply");
    keys_.emplace_back();
    return value();
  }

  bool leave() {
    keys_.pop_back();
    return true;
  }

  std::vector<std::set<std::string>> keys_;  // of the objects (and, unused, arrays) that are open
  std::size_t values_ = 0;
  std::string problem_;
};

}  // namespace

Status check_json(std::string_view json) {
  Checker checker;
  if (nlohmann::json::sax_parse(json.begin(), json.end(), &checker)) return Status();
  return Status(Code::E_ARGUMENT_INVALID,
                "the mount spec " + (checker.problem().empty() ? std::string("is not JSON") : checker.problem()));
}

}  // namespace vzv::fuse
