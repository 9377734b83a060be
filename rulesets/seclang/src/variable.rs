//! The variables of SecLang: their names, and where a transaction keeps each.

/// What a variable holds and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Home {
    /// One value, empty until the request sets it.
    Scalar,
    /// One value that rules themselves change during a phase.
    VolatileScalar,
    /// Named values, filled before the phase that reads them.
    Collection,
    /// Two collections read as one.
    Union(&'static [Variable]),
    /// `XML:/*` or `XML://@*`.
    Xml,
    /// The transaction's own variables.
    Tx,
    /// What the current rule has matched.
    Matched,
    /// Kept beyond one transaction.
    Persistent,
    /// The rule that is running.
    Rule,
}

macro_rules! variables {
    ($($variant:ident $name:literal $home:expr),* $(,)?) => {
        /// A variable of SecLang, spelled as the rules spell it by [`Variable::as_str`].
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[expect(missing_docs, reason = "each variant is the SecLang name beside it in the table")]
        pub enum Variable { $($variant),* }

        const ALONE: &[Variable] = &[$(Variable::$variant),*];

        /// Every variable, in the order of the enum.
        const TABLE: &[(Variable, &str, Home)] = &[$((Variable::$variant, $name, $home)),*];
    };
}

use Home::{Collection, Matched, Persistent, Scalar, Tx, Union, VolatileScalar, Xml};

variables! {
    Args "ARGS" Union(&[Variable::ArgsGet, Variable::ArgsPost]),
    ArgsNames "ARGS_NAMES" Union(&[Variable::ArgsGetNames, Variable::ArgsPostNames]),
    ArgsGet "ARGS_GET" Collection,
    ArgsGetNames "ARGS_GET_NAMES" Collection,
    ArgsPost "ARGS_POST" Collection,
    ArgsPostNames "ARGS_POST_NAMES" Collection,
    ArgsCombinedSize "ARGS_COMBINED_SIZE" Scalar,
    AuthType "AUTH_TYPE" Scalar,
    Duration "DURATION" VolatileScalar,
    Files "FILES" Collection,
    FilesCombinedSize "FILES_COMBINED_SIZE" Scalar,
    FilesNames "FILES_NAMES" Collection,
    FilesSizes "FILES_SIZES" Collection,
    Geo "GEO" Collection,
    Global "GLOBAL" Persistent,
    HighestSeverity "HIGHEST_SEVERITY" VolatileScalar,
    InboundDataError "INBOUND_DATA_ERROR" Scalar,
    Ip "IP" Persistent,
    MatchedVar "MATCHED_VAR" Matched,
    MatchedVarName "MATCHED_VAR_NAME" Matched,
    MatchedVars "MATCHED_VARS" Matched,
    MatchedVarsNames "MATCHED_VARS_NAMES" Matched,
    MultipartBoundaryQuoted "MULTIPART_BOUNDARY_QUOTED" Scalar,
    MultipartBoundaryWhitespace "MULTIPART_BOUNDARY_WHITESPACE" Scalar,
    MultipartCrlfLfLines "MULTIPART_CRLF_LF_LINES" Scalar,
    MultipartDataAfter "MULTIPART_DATA_AFTER" Scalar,
    MultipartDataBefore "MULTIPART_DATA_BEFORE" Scalar,
    MultipartFileLimitExceeded "MULTIPART_FILE_LIMIT_EXCEEDED" Scalar,
    MultipartHeaderFolding "MULTIPART_HEADER_FOLDING" Scalar,
    MultipartInvalidHeaderFolding "MULTIPART_INVALID_HEADER_FOLDING" Scalar,
    MultipartInvalidPart "MULTIPART_INVALID_PART" Scalar,
    MultipartInvalidQuoting "MULTIPART_INVALID_QUOTING" Scalar,
    MultipartLfLine "MULTIPART_LF_LINE" Scalar,
    MultipartMissingSemicolon "MULTIPART_MISSING_SEMICOLON" Scalar,
    MultipartName "MULTIPART_NAME" Collection,
    MultipartFilename "MULTIPART_FILENAME" Collection,
    MultipartPartHeaders "MULTIPART_PART_HEADERS" Collection,
    MultipartStrictError "MULTIPART_STRICT_ERROR" Scalar,
    MultipartUnmatchedBoundary "MULTIPART_UNMATCHED_BOUNDARY" Scalar,
    OutboundDataError "OUTBOUND_DATA_ERROR" Scalar,
    PathInfo "PATH_INFO" Scalar,
    QueryString "QUERY_STRING" Scalar,
    RemoteAddr "REMOTE_ADDR" Scalar,
    RemotePort "REMOTE_PORT" Scalar,
    RemoteUser "REMOTE_USER" Scalar,
    ReqbodyError "REQBODY_ERROR" Scalar,
    ReqbodyErrorMsg "REQBODY_ERROR_MSG" Scalar,
    ReqbodyProcessor "REQBODY_PROCESSOR" VolatileScalar,
    RequestBasename "REQUEST_BASENAME" Scalar,
    RequestBody "REQUEST_BODY" Scalar,
    RequestBodyLength "REQUEST_BODY_LENGTH" Scalar,
    RequestCookies "REQUEST_COOKIES" Collection,
    RequestCookiesNames "REQUEST_COOKIES_NAMES" Collection,
    RequestFilename "REQUEST_FILENAME" Scalar,
    RequestHeaders "REQUEST_HEADERS" Collection,
    RequestHeadersNames "REQUEST_HEADERS_NAMES" Collection,
    RequestLine "REQUEST_LINE" Scalar,
    RequestMethod "REQUEST_METHOD" Scalar,
    RequestProtocol "REQUEST_PROTOCOL" Scalar,
    RequestUri "REQUEST_URI" Scalar,
    RequestUriRaw "REQUEST_URI_RAW" Scalar,
    Resource "RESOURCE" Persistent,
    ResponseBody "RESPONSE_BODY" Scalar,
    ResponseContentLength "RESPONSE_CONTENT_LENGTH" Scalar,
    ResponseContentType "RESPONSE_CONTENT_TYPE" Scalar,
    ResponseHeaders "RESPONSE_HEADERS" Collection,
    ResponseHeadersNames "RESPONSE_HEADERS_NAMES" Collection,
    ResponseProtocol "RESPONSE_PROTOCOL" Scalar,
    ResponseStatus "RESPONSE_STATUS" Scalar,
    Rule "RULE" Home::Rule,
    ServerAddr "SERVER_ADDR" Scalar,
    ServerName "SERVER_NAME" Scalar,
    ServerPort "SERVER_PORT" Scalar,
    Session "SESSION" Persistent,
    Time "TIME" Scalar,
    TimeDay "TIME_DAY" Scalar,
    TimeEpoch "TIME_EPOCH" Scalar,
    TimeHour "TIME_HOUR" Scalar,
    TimeMin "TIME_MIN" Scalar,
    TimeMon "TIME_MON" Scalar,
    TimeSec "TIME_SEC" Scalar,
    TimeWday "TIME_WDAY" Scalar,
    TimeYear "TIME_YEAR" Scalar,
    Tx "TX" Tx,
    UniqueId "UNIQUE_ID" Scalar,
    UrlencodedError "URLENCODED_ERROR" Scalar,
    User "USER" Persistent,
    Xml "XML" Xml,
    XmlTexts "XML" Collection,
    XmlAttributes "XML" Collection,
}

/// How many variables there are: the length of tables indexed by one.
pub(crate) const COUNT: usize = TABLE.len();

impl Variable {
    /// Whether it tells the time of the request.
    pub(crate) const fn is_time(self) -> bool {
        matches!(
            self,
            Self::Time
                | Self::TimeDay
                | Self::TimeEpoch
                | Self::TimeHour
                | Self::TimeMin
                | Self::TimeMon
                | Self::TimeSec
                | Self::TimeWday
                | Self::TimeYear
        )
    }

    /// The name as SecLang spells it; the halves of `XML` by their selector.
    pub fn as_str(self) -> &'static str {
        TABLE.get(self.index()).map_or("", |row| row.1)
    }

    /// Finds a variable by its name, in any letter case.
    pub(crate) fn find(name: &[u8]) -> Option<Self> {
        // Of the three rows named `XML` the whole comes first; a selector leads to its halves.
        TABLE.iter().find(|row| row.1.as_bytes().eq_ignore_ascii_case(name)).map(|row| row.0)
    }

    /// Every name, for advice on a misspelt one.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|row| row.1)
    }

    pub(crate) fn home(self) -> Home {
        TABLE.get(self.index()).map_or(Scalar, |row| row.2)
    }

    /// The list that holds only this variable, for the whole life of the program.
    pub(crate) fn alone(self) -> &'static [Self] {
        ALONE.get(self.index()).map_or(&[], std::slice::from_ref)
    }

    /// Its place in tables of [`COUNT`] rows.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
